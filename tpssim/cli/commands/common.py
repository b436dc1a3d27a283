"""What the verbs share: their options, scenarios as they were asked for, folders, processes."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from tpssim.core.errors import InputError, no_such
from tpssim.core.validation import MOST_PROCESSES, checked_count
from tpssim.output import format
from tpssim.output.results_dir import file_name as file_name
from tpssim.output.tables import filled

if TYPE_CHECKING:
    from tpssim.core.timer_models import TimerModel
    from tpssim.scenarios.load import Load
    from tpssim.scenarios.recordings.calls import Recording
    from tpssim.scenarios.scenario import Scenario


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Options of the verbs that run scenarios."""
    parser.add_argument(
        "--timer",
        metavar="NAME",
        help="for every scenario: linux, say, or a timer.json of calibrate",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help="how soon a call must succeed to count as goodput, for every scenario; default: what"
        " the scenario says, or ten times its mean latency without load, at least 50 ms",
    )
    parser.add_argument(
        "--stages",
        metavar="TEXT",
        help="the wanted rate over time, for every scenario: 30s:100,2m:500,30s:0 rises to 100/s in"
        " 30 s, and so on; the run ends with the last stage, or with SCENARIO:duration=SECONDS",
    )
    parser.add_argument(
        "--arrivals",
        metavar="FILE",
        help="recorded start times of calls, for every scenario: what another tool wrote"
        " (docs/recordings.md), or a CSV with a column start, released, timestamp, ... of seconds"
        " or dates, in any order; rows without a time are left out; the run ends 1 s after the last"
        " of them, or with SCENARIO:duration=SECONDS",
    )
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="a scenario from recorded service times: any CSV, or what another tool wrote"
        " (docs/recordings.md)",
    )
    add_columns(parser)
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
    parser.add_argument(
        "--cost", metavar="NAME", help="its column of what the calls cost (tokens, say), if any"
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The option that says which column of a recording is which."""
    parser.add_argument(
        "--columns",
        metavar="ROLE=NAME,...",
        help="which column of the recording is which: start=NAME,latency=NAME (or end=NAME), and"
        " status, cost, retry_after, name; default: by their names",
    )


def add_recording(parser: argparse.ArgumentParser) -> None:
    """The options that say how a recording of calls is read."""
    add_columns(parser)
    parser.add_argument(
        "--unit",
        choices=("s", "ms", "us", "ns", "min"),
        help="of its latencies; default: what is guessed, and said",
    )
    parser.add_argument("--name", help="only the calls of this endpoint, label or route")


def recording_of(args: argparse.Namespace, path: str) -> Recording:
    """The recording of a file, read as the options say; what was made of it is said."""
    from tpssim.scenarios.recordings.reading import read_recording

    columns = columns_given(args.columns)
    found = read_recording(path, columns=columns, unit=args.unit, name=args.name)
    print(f"tpssim: {found.source.said()}", file=sys.stderr)
    return found


def columns_given(text: str | None) -> dict[str, str] | None:
    """Columns by what they hold; raises `InputError`.

    >>> columns_given("start=sent,latency=took ms")
    {'start': 'sent', 'latency': 'took ms'}
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(role and column for role, _, column in pairs):
        raise InputError(f"--columns {text!r}; allowed: start=NAME,latency=NAME and the like")
    return {role.strip(): column.strip() for role, _, column in pairs}


def add_draws(parser: argparse.ArgumentParser) -> None:
    """The option of the verbs that compare or choose on a fitted service."""
    parser.add_argument(
        "--draws",
        type=int,
        metavar="N",
        help="beside each scenario in a file of fit as many services drawn from its intervals",
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


def _check_columns(args: argparse.Namespace) -> None:
    """Raise `InputError` for columns of a recording that is not there, or that are given twice."""
    nowhere = args.trace is None and args.arrivals is None
    if (args.trace is None and args.column is not None) or (nowhere and args.unit is not None):
        raise InputError(
            "--column and --unit belong to --trace FILE, which is missing; allowed: all three"
        )
    if nowhere and args.columns is not None:
        raise InputError(
            "--columns belongs to --trace FILE or --arrivals FILE, which are missing; allowed: one"
            " of them"
        )
    named = columns_given(args.columns) or {}
    if args.trace is None and args.unit is not None and "latency" not in named:
        raise InputError(
            "--unit is of latencies, and no column of them is named; allowed: with --trace FILE, or"
            " --arrivals FILE --columns latency=NAME"
        )
    if args.columns is not None and (args.column is not None or args.cost is not None):
        raise InputError("--columns with --column or --cost; allowed: one of them")
    if args.trace is None and args.cost is not None:
        raise InputError("--cost belongs to --trace FILE, which is missing; allowed: both")


def scenarios(args: argparse.Namespace, given: Sequence[str] | None) -> list[Scenario]:
    """The scenarios of a command line; what was made of its arrivals stands in `args.notes`, for
    the record. Raises `InputError`.
    """
    from tpssim.scenarios.builtin import CORE
    from tpssim.scenarios.scenario import with_parameters
    from tpssim.simulation.resolve import scenario_named

    _check_columns(args)
    named = list(CORE) if given is None and args.trace is None else given or []
    load = _load(args)
    chosen = [scenario_named(name, load) for name in named]
    if getattr(args, "draws", None) is not None:
        if not any(".toml" in name for name in named):
            raise InputError("--draws without a file of fit; allowed: with --scenario[s] FILE.toml")
        chosen = [one for pair in zip(named, chosen, strict=True) for one in _drawn(args, *pair)]
    if args.trace is not None:
        chosen.append(scenario_named(_recorded(args), load))
    if args.deadline is not None:
        chosen = [with_parameters(scenario, {"deadline": args.deadline}) for scenario in chosen]
    if args.timer is not None:
        timer = _timer(args.timer)
        chosen = [scenario._replace(timer=timer) for scenario in chosen]
    return chosen


def _recorded(args: argparse.Namespace) -> Scenario:
    """The scenario of `--trace`; what was made of the file is said."""
    from tpssim.scenarios.builtin import recorded_scenario
    from tpssim.scenarios.recordings import read

    columns = columns_given(args.columns)
    found = read(args.trace, column=args.column, unit=args.unit, cost=args.cost, columns=columns)
    try:
        scenario = recorded_scenario(found, args.trace)
    except InputError as error:  # what was guessed of the file may be what is wrong
        raise InputError(f"{error}; {found.said(args.trace)}") from error
    for note in (found.said(args.trace), overlap_note(found.overlap, args.trace)):
        if note:
            print(f"tpssim: {note}", file=sys.stderr)
    return scenario


def _load(args: argparse.Namespace) -> Load | None:
    """What `--tps`, `--stages` or `--arrivals` want, if one is given; what was made of a file of
    arrivals is said.
    """
    from tpssim.core.arrivals import mean_rate
    from tpssim.core.profiles import Stages
    from tpssim.scenarios.load import Load
    from tpssim.scenarios.recordings.arrivals import start_times

    args.notes = []
    load = {"--tps": args.tps, "--stages": args.stages, "--arrivals": args.arrivals}
    given = [option for option, value in load.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)}; allowed: one of them")
    if args.stages is not None:
        return Load(Stages(args.stages))
    if args.arrivals is None:
        return None if args.tps is None else Load(args.tps)
    # Of two files the columns are those of the trace, unless both are one.
    alone = args.trace is None or args.trace == args.arrivals
    columns = columns_given(args.columns) if alone else None
    arrivals = start_times(args.arrivals, columns=columns, unit=args.unit)
    if note := arrivals.said(args.arrivals):
        args.notes.append(note)
        print(f"tpssim: {note}", file=sys.stderr)
    return Load(mean_rate(arrivals.times), arrivals.times)


def _timer(given: str) -> TimerModel:
    """The timer model of a name, or of a file of `calibrate`."""
    from tpssim.core.timer_models import TIMERS

    if given in TIMERS:
        return TIMERS[given]
    if ".json" in given:
        from tpssim.live.calibration import read_timer

        return read_timer(given)
    raise no_such("timer model", given, [*TIMERS, "a timer.json of calibrate"])


def write_scenarios(folder: Path, args: argparse.Namespace, chosen: Sequence[Scenario]) -> None:
    """Write the scenarios as they ran where one of them was read from a file, which may change: to
    `scenarios/`, a file each.
    """
    from tpssim.simulation.resolve import file_of

    named = [*(getattr(args, "scenarios", None) or []), getattr(args, "scenario", None) or ""]
    if any(file_of(name) for name in specs(named)):
        (folder / "scenarios").mkdir()
        for scenario in chosen:
            scenario.to_toml(folder / "scenarios" / f"{file_name(scenario.name)}.toml")


def _drawn(args: argparse.Namespace, name: str, scenario: Scenario) -> list[Scenario]:
    """A scenario, and if it is of a file those drawn from its intervals; raises `InputError`."""
    from tpssim.experiments.fitting.draws import drawn
    from tpssim.scenarios.files import file_of_scenario

    path, dot, _ = name.partition(".toml")
    if not dot:
        return [scenario]
    file = file_of_scenario(f"{path}.toml", scenario)
    return [scenario, *drawn(file, args.draws, args.seed or 0)]


def written_to(out: Path, files: Sequence[str]) -> str:
    """What a verb says last."""
    return filled(f"Written to {out}: {', '.join(files)}", further="  ")


@contextlib.contextmanager
def executor_for(
    workers: int | None, helped: bool = False, compiled: bool = True
) -> Iterator[Executor | None]:
    """That many processes (None: one a core); nothing for one, which is this process.

    `helped`, `compiled`: as of `executor.processes`.
    """
    cores = min(os.cpu_count() or 1, MOST_PROCESSES)
    number = checked_count("workers", cores if workers is None else workers, 1, MOST_PROCESSES)
    if number == 1:
        yield None
        return
    from tpssim.experiments.executor import processes

    with processes(number, helped, compiled) as pool:
        yield pool
