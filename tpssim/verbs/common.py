"""What the verbs share: scenarios as they were asked for, progress, the record of a run."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.artefacts import file_name as file_name
from tpssim.core import VERSION, InputError

if TYPE_CHECKING:
    from tpssim.scenario import Scenario


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Options of the verbs that run scenarios."""
    parser.add_argument(
        "--timer", metavar="NAME", help="for every scenario: linux, say, or a timer.json of calibrate"
    )
    parser.add_argument("--trace", metavar="FILE", help="a scenario from a CSV of recorded service times")
    parser.add_argument("--column", metavar="NAME", help="its column; default: a known one, or the only one")
    parser.add_argument(
        "--unit", choices=("s", "ms", "us"), help="its unit; default: s, or the known column's"
    )


def add_common(parser: argparse.ArgumentParser, seed: str = "default: 0") -> None:
    """Options of every verb that writes results; `seed`: what is said of that."""
    parser.add_argument("--seed", type=int, default=0, help=seed)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/VERB-NAME")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")


def specs(given: Sequence[str]) -> list[str]:
    """`A,B:x=1,y=2` as [A, B:x=1,y=2]: a part with a bare key=value belongs to the one before it."""
    specs: list[str] = []
    for part in ",".join(given).split(","):
        if "=" in part and ":" not in part and specs:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


OVERLAP = 0.01  # share of the calls; less is a stray one


def overlap_note(args: argparse.Namespace) -> str:
    """What is wrong with taking that recording for the times of one blocking service; "" if nothing is."""
    from tpssim.recordings import overlapping

    share = 0.0 if args.trace is None else overlapping(args.trace, column=args.column)
    if not share > OVERLAP:
        return ""
    return (
        f"{share:.0%} of the calls of {Path(args.trace).name} overlap: their times hold queue and "
        "concurrency, and here they are taken for those of a service that does one call at a time"
    )


LONGEST_OUT = 60  # characters of a folder's name
#: The parameters in `NAME:key=value,...+NAME`; a + before a digit is a number's.
PARAMETERS = re.compile(r":(?:[^+]|\+\d)*")


def default_out(verb: str, *names: str) -> Path:
    """The folder for results if no other is given: what ran, without its parameters where they are long.

    >>> str(default_out("simulate", "spikes:duration=20", "headroom"))
    'results/simulate-spikes_duration=20--headroom'
    >>> str(default_out("compare", "spikes:duration=20,target=100,mean=0.001,cv=0.25+stall:duration=30"))
    'results/compare-spikes_stall'
    """
    if len(file_name(verb, *names)) > LONGEST_OUT:
        names = tuple("+".join(dict.fromkeys(PARAMETERS.sub("", name).split("+"))) for name in names)
    return Path("results") / file_name(f"{verb}-{names[0]}", *names[1:], longest=LONGEST_OUT)


def scenarios(args: argparse.Namespace, given: Sequence[str] | None) -> list[Scenario]:
    from tpssim.clock import TIMERS
    from tpssim.contenders import scenario_named
    from tpssim.scenario import with_parameters
    from tpssim.scenarios import CORE, trace_scenario

    if args.trace is None and (args.column is not None or args.unit is not None):
        raise InputError("--column and --unit belong to --trace FILE, which is missing; allowed: all three")
    named = list(CORE) if given is None and args.trace is None else given or []
    arenas = [scenario_named(name) for name in named]
    if args.trace is not None:
        arenas.append(trace_scenario(args.trace, column=args.column, unit=args.unit))
        note = overlap_note(args)
        if note:
            print(f"tpssim: {note}", file=sys.stderr)
    if args.tps is not None:
        arenas = [with_parameters(arena, {"target": args.tps}) for arena in arenas]
    if args.timer is not None:
        if args.timer in TIMERS:
            timer = TIMERS[args.timer]
        elif ".json" in args.timer:
            from tpssim.live.calibration import read_timer

            timer = read_timer(args.timer)
        else:
            allowed = f"{', '.join(TIMERS)}, or a timer.json of calibrate"
            raise InputError(f"there is no timer model {args.timer!r}; allowed: {allowed}")
        arenas = [arena._replace(timer=timer) for arena in arenas]
    return arenas


#: Options that are given anew for each value.
REPEATED = {"fail_if", "header", "late"}


def shown_in_public(option: str, value: str) -> str:
    """A value as it may stand in files: without the credentials of a request.

    >>> shown_in_public("header", "Authorization: Bearer abc"), shown_in_public("url", "http://me:pw@host/x")
    ('Authorization: ***', 'http://***@host/x')
    """
    if option == "header":
        return f"{value.partition(':')[0]}: ***"
    return re.sub(r"(?<=://)[^/?#]*(?=@)", "***", value) if option == "url" else value


def command(args: argparse.Namespace) -> str:
    """The command that remakes the numbers: what was asked for, without where it was put.

    What a request's headers say is left out, for it may be a secret.
    """
    words = ["python -m tpssim", args.verb]
    # How many processes work changes no number; how many threads make live calls does.
    hidden = {"verb", "run", "out", "json", "workers", "dask", "store", "seed", "quiet", "record"}
    if args.verb == "live":
        hidden.remove("workers")
    positional = {
        "simulate": ("scenario", "controller"),
        "sweep": ("study",),
        "analyse": ("controller",),
        "replay": ("recording",),
        "tune": ("law",),
    }.get(args.verb, ())
    given = (getattr(args, name) for name in positional)
    words += [shlex.quote(word) for word in given if word is not None]
    for name, value in vars(args).items():
        if name in hidden or name in positional or value is None or value is False:
            continue
        if value is True:
            words.append("--async" if name == "asynchronous" else f"--{name}")
            continue
        option = f"--{name.replace('_', '-')}"
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
        "command": command(args),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.perf_counter() - began, 3),
        "engine": engine,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "simpy": simpy.__version__,
        "platform": platform.platform(terse=True),
    }


class Progress:
    """Progress on stderr: one line that is redrawn on a terminal, a line every few seconds elsewhere."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.shown = time.monotonic()
        self.first: tuple[float, int] | None = None  # when the first was done: what came before was start-up
        self.live = sys.stderr.isatty()

    def __call__(self, done: int, total: int, more: str = "") -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = now, done
        if now - self.shown < (0.1 if self.live else 2.0) and not (self.live and done == total):
            return
        self.shown = now
        text = f"{done:,} of {total:,} {self.what}{more and ', '}{more}"
        since, before = self.first
        if now > since and done > before:
            rate = (done - before) / (now - since)
            speed = f"{rate:,.0f}" if rate >= 100.0 else f"{rate:.3g}"
            text += f", {speed} a second, about {(total - done) / rate:.0f} s left"
        sys.stderr.write(f"\r{text:<78}" if self.live else f"{text}\n")
        if self.live and done == total:
            sys.stderr.write(f"\r{'':<78}\r")
        sys.stderr.flush()


@contextlib.contextmanager
def executor_for(workers: int | None) -> Iterator[Executor | None]:
    """That many processes (None: one a core); nothing for one, which is this process."""
    number = (os.cpu_count() or 1) if workers is None else workers
    if number < 1:
        raise InputError(f"workers={number}; allowed: a whole number >= 1")
    if number == 1:
        yield None
        return
    from tpssim.workers import processes

    with processes(number) as pool:
        yield pool
