"""What stands beside results: the command that remakes them, without secrets; what made them."""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import time
from typing import Any

from tpssim.core.types import VERSION
from tpssim.live.callees.addresses import HIDDEN, written

#: Options that are repeated for each value.
REPEATED = {"fail_if", "header", "late", "quota"}
#: Options that Python keeps under another name, for theirs are words of the language.
CALLED = {"asynchronous": "async", "purpose": "for"}


def shown_in_public(option: str, value: str) -> str:
    """A value as it may stand in files: without what a request or a shell command may hold of
    secrets.

    >>> shown_in_public("header", "Authorization: Bearer abc")
    'Authorization: ***'
    >>> shown_in_public("url", "http://me:pw@host/x?y=1")
    'http://***@host/x?***'
    >>> shown_in_public("data", "password=abc")
    '***'
    >>> shown_in_public("command", "curl -u me:pw http://host/")
    'curl ***'
    """
    if option == "header":
        return f"{value.partition(':')[0]}: {HIDDEN}" if ":" in value else HIDDEN
    if option == "url":
        return written(value)
    if option == "data":
        return value and HIDDEN
    return _program(value) if option == "command" else value


def _program(text: str) -> str:
    """A shell command as it may stand in files: the program that it names first. Its arguments, and
    what it sets in the environment, may be passwords, and nobody can know which."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    first = next((word for word in words if not re.match(r"\w+=", word)), "")
    if not re.fullmatch(r"[\w./+-]+", first):
        return HIDDEN
    return first if words == [first] else f"{first.rpartition('/')[2]} {HIDDEN}"


def command(args: argparse.Namespace) -> str:
    """The command that remakes the numbers: what was asked for, without where it was put.

    Of a request the query, the credentials, the values of headers and the body are left out, of a
    shell command all but the program, for they may be secrets.
    """
    words = ["python -m tpssim", args.verb]
    # How many processes work changes no number; how many threads make live calls does.
    hidden = {
        "verb",
        "run",
        "out",
        "json",
        "workers",
        "dask",
        "store",
        "seed",
        "quiet",
        "record",
        "verbose",
        "notes",
    }
    if args.verb == "live":
        hidden.remove("workers")
    positional = {
        "simulate": ("scenario", "controller"),
        "sweep": ("study",),
        "analyse": ("controller",),
        "replay": ("recording",),
        "fit": ("recording",),
        "recommend": ("service",),
        "tune": ("law",),
    }.get(args.verb, ())
    given = (getattr(args, name) for name in positional)
    words += [shlex.quote(word) for word in given if word is not None]
    for name, value in vars(args).items():
        if name in hidden or name in positional or value is None or value is False:
            continue
        option = f"--{CALLED.get(name, name).replace('_', '-')}"
        if value is True:
            words.append(option)
            continue
        shown = [
            shlex.quote(shown_in_public(name, str(v)))
            for v in (value if isinstance(value, list) else [value])
        ]
        if name in REPEATED:
            words += [word for one in shown for word in (option, one)]
        else:
            words += [option, *shown]
    return " ".join([*words, "--seed", str(args.seed)])


def run_record(args: argparse.Namespace, began: float, engine: str) -> dict[str, Any]:
    """What differs between two equal runs, and so stands beside the summary, not in it."""
    import numpy
    import simpy

    return {
        "tpssim": VERSION,
        "verb": args.verb,
        "command": command(args),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.perf_counter() - began, 3),
        "engine": engine,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "simpy": simpy.__version__,
        "platform": platform.platform(terse=True),
    }
