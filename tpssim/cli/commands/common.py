"""What the verbs share: scenarios as they were asked for, progress, the record of a run."""

from __future__ import annotations

import argparse
import bisect
import contextlib
import operator
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

from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.core.validation import MOST_PROCESSES, checked_count
from tpssim.live.callees.addresses import HIDDEN, written
from tpssim.output import format
from tpssim.output.results_dir import file_name as file_name
from tpssim.output.tables import filled

if TYPE_CHECKING:
    from tpssim.scenarios.scenario import Scenario


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Options of the verbs that run scenarios."""
    parser.add_argument(
        "--timer",
        metavar="NAME",
        help="for every scenario: linux, say, or a timer.json of calibrate",
    )
    parser.add_argument(
        "--trace", metavar="FILE", help="a scenario from a CSV of recorded service times"
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="its column (without a header row its number); default: a known one, or the only one",
    )
    parser.add_argument(
        "--unit",
        choices=("s", "ms", "us", "ns", "min"),
        help="its unit; default: what the column's name ends in, else s",
    )


def add_common(
    parser: argparse.ArgumentParser, seed: str = "default: 0", out: str = "results/VERB-NAME"
) -> None:
    """Options of every verb that writes results; `seed`, `out`: what is said of them."""
    parser.add_argument("--seed", type=int, default=0, help=seed)
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"default: {out}")
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout and nothing else"
    )


def specs(given: Sequence[str]) -> list[str]:
    """`A,B:x=1,y=2` as [A, B:x=1,y=2]: a part with a bare key=value belongs to the one before
    it.
    """
    specs: list[str] = []
    for part in ",".join(given).split(","):
        if "=" in part and ":" not in part and specs:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


OVERLAP = 0.01  # share of the calls; less is a stray one


def overlap_note(overlap: float, path: str) -> str:
    """What is wrong with taking that recording for the times of one blocking service; "" if nothing
    is.

    `overlap`: the share of its calls that were released before all earlier ones had completed.
    """
    if not overlap > OVERLAP:
        return ""
    return (
        f"{format.share(overlap)} of the calls of {Path(path).name} overlap: their times hold queue"
        " and concurrency, and here they are taken for those of a service that does one call at a"
        " time"
    )


LONGEST_OUT = 60  # characters of a folder's name
#: The parameters in `NAME:key=value,...+NAME`; a + before a digit is a number's.
PARAMETERS = re.compile(r":(?:[^+]|\+\d)*")


def default_out(verb: str, *names: str) -> Path:
    """The folder for results if no other is given: what ran, without its parameters where they are
    long.

    >>> str(default_out("simulate", "spikes:duration=20", "headroom"))
    'results/simulate-spikes_duration=20--headroom'
    >>> spikes = "spikes:duration=20,target=100,mean=0.001,cv=0.25"
    >>> str(default_out("compare", f"{spikes}+stall:duration=30"))
    'results/compare-spikes_stall'
    """
    if len(file_name(verb, *names)) > LONGEST_OUT:
        names = tuple(
            "+".join(dict.fromkeys(PARAMETERS.sub("", name).split("+"))) for name in names
        )
    return Path("results") / file_name(f"{verb}-{names[0]}", *names[1:], longest=LONGEST_OUT)


def scenarios(args: argparse.Namespace, given: Sequence[str] | None) -> list[Scenario]:
    from tpssim.core.timer_models import TIMERS
    from tpssim.scenarios.builtin import CORE, recorded_scenario
    from tpssim.scenarios.scenario import with_parameters
    from tpssim.simulation.resolve import scenario_named

    if args.trace is None and (args.column is not None or args.unit is not None):
        raise InputError(
            "--column and --unit belong to --trace FILE, which is missing; allowed: all three"
        )
    named = list(CORE) if given is None and args.trace is None else given or []
    chosen = [scenario_named(name) for name in named]
    if args.trace is not None:
        from tpssim.scenarios.recordings import read

        found = read(args.trace, column=args.column, unit=args.unit)
        chosen.append(recorded_scenario(found, args.trace))
        for note in (found.said(args.trace), overlap_note(found.overlap, args.trace)):
            if note:
                print(f"tpssim: {note}", file=sys.stderr)
    if args.tps is not None:
        chosen = [with_parameters(scenario, {"target": args.tps}) for scenario in chosen]
    if args.timer is not None:
        if args.timer in TIMERS:
            timer = TIMERS[args.timer]
        elif ".json" in args.timer:
            from tpssim.live.calibration import read_timer

            timer = read_timer(args.timer)
        else:
            allowed = f"{', '.join(TIMERS)}, or a timer.json of calibrate"
            raise InputError(f"there is no timer model {args.timer!r}; allowed: {allowed}")
        chosen = [scenario._replace(timer=timer) for scenario in chosen]
    return chosen


#: Options that are repeated for each value.
REPEATED = {"fail_if", "header", "late"}


def written_to(out: Path, files: Sequence[str]) -> str:
    """What a verb says last."""
    return filled(f"Written to {out}: {', '.join(files)}", further="  ")


def shown_in_public(option: str, value: str) -> str:
    """A value as it may stand in files: without what a request or a shell command may hold of
    secrets.

    >>> shown_in_public("header", "Authorization: Bearer abc"), shown_in_public("url", "http://me:pw@host/x?y=1")
    ('Authorization: ***', 'http://***@host/x?***')
    >>> shown_in_public("data", "password=abc"), shown_in_public("command", "curl -u me:pw http://host/")
    ('***', 'curl ***')
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
    }
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


class Progress:
    """Progress on stderr: one line that is redrawn on a terminal, a line every few seconds
    elsewhere.

    As people read it: what is done of how many, and about how long the rest takes. That is said
    once a fifth of what is to do after the first is done, by the pace of the later half of it: the
    first ones compile, and their pace says nothing of the others. So it is at most about four times
    what it took so far.
    """

    KNOWN = 0.2

    def __init__(self, what: str, each: int = 1) -> None:
        self.what = what
        self.each = each  # of those that are counted, in one of those that are shown
        self.shown = time.monotonic()
        # When, and what share of the work was done then. What came before the first was start-up.
        self.points: list[tuple[float, float]] = []
        self.live = sys.stderr.isatty()

    def weighed(self, done: int, total: int, share: float) -> None:
        """As a call, for things that differ in what they take; `share` of the work is done."""
        self(done, total, share=share)

    def __call__(self, done: int, total: int, more: str = "", share: float | None = None) -> None:
        now = time.monotonic()
        if share is None:
            share = done / total if total else 1.0
        self.points.append((now, share))
        if now - self.shown < (0.1 if self.live else 2.0) and not (self.live and done == total):
            return
        self.shown = now
        text = f"{done * self.each:,} of {total * self.each:,} {self.what}{more and ', '}{more}"
        left = self._left()
        if done < total and left is not None:
            text += f", about {format.duration(left)} left"
        sys.stderr.write(f"\r{text:<78}" if self.live else f"{text}\n")
        if self.live and done == total:
            sys.stderr.write(f"\r{'':<78}\r")
        sys.stderr.flush()

    def _left(self) -> float | None:
        """About how long the rest takes, s; None if that cannot be known yet."""
        (now, share), first = self.points[-1], self.points[0][1]
        if share - first < self.KNOWN * (1.0 - first) or now <= self.points[0][0]:
            return None
        half = (
            bisect.bisect_right(self.points, (first + share) / 2.0, key=operator.itemgetter(1)) - 1
        )
        since, shared = self.points[half]
        return (1.0 - share) * (now - since) / (share - shared)


@contextlib.contextmanager
def executor_for(workers: int | None) -> Iterator[Executor | None]:
    """That many processes (None: one a core); nothing for one, which is this process."""
    cores = min(os.cpu_count() or 1, MOST_PROCESSES)
    number = checked_count("workers", cores if workers is None else workers, 1, MOST_PROCESSES)
    if number == 1:
        yield None
        return
    from tpssim.experiments.executor import processes

    with processes(number) as pool:
        yield pool
