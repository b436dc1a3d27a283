"""The command line: reads arguments, calls the library, prints and writes. No law and no measure lives here.

Exit codes: 0 done; 1 a case of `validate` fails; 2 bad input, with one line on stderr; 130 interrupted, with
nothing half written.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tpssim.core import VERSION, InputError

if TYPE_CHECKING:
    from tpssim.comparison import Comparison
    from tpssim.pacing import Late
    from tpssim.scenario import Scenario

EPILOG = """\
throttles and scenarios take parameters: NAME:key=value,key=value
  python -m tpssim compare --scenarios degrade-recover --controllers aimd:dec_rate=0.8 headroom
  python -m tpssim compare --scenarios blocking-steady:mean=0.05,cv=1
  python -m tpssim compare --trace calls.csv --column latency --unit ms
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tpssim",
        description="A bench for the controllers that decide how fast a Python program calls something.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tpssim {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    compare = verbs.add_parser(
        "compare",
        help="every throttle on every scenario under the same noise: table, pictures, JSON, CSV",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("--scenarios", metavar="A,B", action="append", help="default: all built-in ones")
    compare.add_argument(
        "--controllers",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="default: all laws and printed throttles",
    )
    compare.add_argument(
        "--throttle",
        metavar="FILE.py:callable",
        action="append",
        help="a throttle of your own beside them, called as (items, tps, total); or package.module:callable",
    )
    compare.add_argument(
        "--late",
        metavar="POLICY",
        action="append",
        help="what becomes of missed slots: burst, capped(N), delay or skip; several are compared",
    )
    _add_trace(compare)
    compare.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s, in every scenario")
    compare.add_argument("--replications", type=int, default=5, metavar="N", help="default: 5")
    compare.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    compare.add_argument(
        "--traces", choices=("first", "all"), default="first", help="which replications' traces are written"
    )
    _add_common(compare)
    compare.set_defaults(run=_compare)

    simulate = verbs.add_parser("simulate", help="one run: its measures, its picture, its trace")
    simulate.add_argument("scenario", nargs="?", metavar="SCENARIO", help="or --trace FILE")
    simulate.add_argument("controller", metavar="CONTROLLER")
    _add_trace(simulate)
    simulate.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    simulate.add_argument("--replication", type=int, default=0, metavar="R", help="which noise; default: 0")
    _add_common(simulate)
    simulate.set_defaults(run=_simulate)

    validate = verbs.add_parser(
        "validate", help="is the simulation right? theory beside simulation, case by case"
    )
    validate.add_argument("--cases", metavar="NAME", nargs="+", action="extend", help="default: all")
    _add_common(validate)
    validate.set_defaults(run=_validate)

    listing = verbs.add_parser("list", help="what there is: controllers, scenarios, metrics")
    listing.add_argument("kind", nargs="?", choices=("controllers", "scenarios", "metrics"))
    listing.add_argument("name", nargs="?", help="one of them, with its law and parameters")
    listing.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    listing.set_defaults(run=_list)
    return parser


def _add_trace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timer", metavar="NAME", help="a timer model for every scenario, such as linux")
    parser.add_argument("--trace", metavar="FILE", help="a scenario from a CSV of recorded service times")
    parser.add_argument("--column", metavar="NAME", help="its column; default: a known one, or the only one")
    parser.add_argument(
        "--unit", choices=("s", "ms", "us"), help="its unit; default: s, or the known column's"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/VERB-NAME")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")


def _scenario_specs(given: Sequence[str]) -> list[str]:
    """`A,B:x=1,y=2` as [A, B:x=1,y=2]: a part with a bare key=value belongs to the one before it."""
    specs: list[str] = []
    for part in ",".join(given).split(","):
        if "=" in part and ":" not in part and specs:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


def _scenarios(args: argparse.Namespace, given: Sequence[str] | None) -> list[Scenario]:
    from tpssim.clock import TIMERS
    from tpssim.experiment import scenario_named
    from tpssim.scenario import with_parameters
    from tpssim.scenarios import SCENARIOS, trace_scenario

    if args.trace is None and (args.column is not None or args.unit is not None):
        raise InputError("--column and --unit belong to --trace FILE, which is missing; allowed: all three")
    named = list(SCENARIOS) if given is None and args.trace is None else given or []
    arenas = [scenario_named(name) for name in named]
    if args.trace is not None:
        arenas.append(trace_scenario(args.trace, column=args.column, unit=args.unit))
    if args.tps is not None:
        arenas = [with_parameters(arena, {"target": args.tps}) for arena in arenas]
    if args.timer is not None:
        if args.timer not in TIMERS:
            raise InputError(f"there is no timer model {args.timer!r}; allowed: {', '.join(TIMERS)}")
        arenas = [arena._replace(timer=TIMERS[args.timer]) for arena in arenas]
    return arenas


def _command(args: argparse.Namespace) -> str:
    """The command that remakes the numbers: what was asked for, without where it was put."""
    words = ["python -m tpssim", args.verb]
    hidden = {"verb", "run", "out", "json", "workers", "seed", "scenario", "controller"}
    if args.verb == "simulate":
        words += [shlex.quote(word) for word in (args.scenario, args.controller) if word is not None]
    for name, value in vars(args).items():
        if name in hidden or value is None:
            continue
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(shlex.quote(str(v)) for v in values)]
    return " ".join([*words, "--seed", str(args.seed)])


def _run_record(args: argparse.Namespace, began: float, engine: str) -> dict[str, Any]:
    """What differs between two equal runs, and so stands beside the summary, not in it."""
    import numpy
    import simpy

    return {
        "tpssim": VERSION,
        "command": _command(args),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.perf_counter() - began, 3),
        "engine": engine,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "simpy": simpy.__version__,
        "platform": platform.platform(terse=True),
    }


class _Progress:
    """Progress on stderr: one line that is redrawn on a terminal, a line every few seconds elsewhere."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.shown < (0.1 if self.live else 2.0) and not (self.live and done == total):
            return
        self.shown = now
        left = (now - self.began) * (total - done) / done
        text = f"{done} of {total} {self.what}, about {left:.0f} s left"
        sys.stderr.write(f"\r{text:<78}" if self.live else f"{text}\n")
        if self.live and done == total:
            sys.stderr.write(f"\r{'':<78}\r")
        sys.stderr.flush()


def _file_name(*parts: str) -> str:
    """A name for a file from what a user may have typed."""
    text = "--".join(parts)
    return "".join(c if c.isalnum() or c in "-_.=" else "_" for c in text)[:150]


def _policies(given: Sequence[str] | None) -> list[Late]:
    from tpssim.pacing import late_policy

    return [late_policy(word.strip()) for text in given or () for word in text.split(",")]


def _controllers(args: argparse.Namespace) -> list[Any] | None:
    """What was asked for; a throttle of one's own stands beside the default ones if no others are named."""
    from tpssim.article import PRINTED
    from tpssim.controllers import CONTROLLERS
    from tpssim.foreign import Foreign

    if args.throttle is None:
        return args.controllers  # type: ignore[no-any-return]
    named = [*PRINTED, *CONTROLLERS] if args.controllers is None else args.controllers
    return [*named, *(Foreign(spec) for spec in args.throttle)]


def _compare(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.scenario import with_late

    scenarios = _scenarios(args, None if args.scenarios is None else _scenario_specs(args.scenarios))
    policies = _policies(args.late)
    if policies:
        scenarios = [variant for arena in scenarios for variant in with_late(arena, policies)]
    controllers = _controllers(args)
    name = _file_name("+".join(s.name for s in scenarios) if args.scenarios or args.trace else "core")
    out = args.out or Path("results") / f"compare-{name}"
    from tpssim.artefacts import check_out, results_folder
    from tpssim.experiment import compare

    check_out(out)
    result = compare(
        scenarios,
        controllers,
        replications=args.replications,
        seed=args.seed,
        keep=args.replications if args.traces == "all" else 1,
        workers=(os.cpu_count() or 1) if args.workers is None else args.workers,
        progress=_Progress("pairs of scenario and throttle"),
    )
    document = result.to_json(tpssim=VERSION, command=_command(args))
    with results_folder(out) as folder:
        _write_comparison(folder, result, document, args, began)
    if args.json:
        print(document)
    else:
        print(result.table())
        print(f"\nWritten to {out}: a picture for each scenario, summary.json, summary.csv, traces/")
    return 0


def _write_comparison(
    folder: Path, result: Comparison, document: str, args: argparse.Namespace, began: float
) -> None:
    from tpssim import plots
    from tpssim.artefacts import MARK, write_csv, write_json

    made = f"{_command(args)} (tpssim {VERSION})"
    (folder / "summary.json").write_text(document + "\n", encoding="utf-8")
    origin = {"seed": args.seed, "tpssim": VERSION, "command": _command(args)}
    write_csv(folder / "summary.csv", ({**row, **origin} for row in result.rows()))
    for scenario in result.scenarios:
        plots.save(result.plot(scenario), folder / f"{_file_name(scenario)}.png", made)
    if result.late_variants():
        for throttle in dict.fromkeys(label for _, label in result.cells):
            for figure in result.plot_late(throttle):
                plots.save(figure, folder / f"{_file_name('late', throttle)}.png", made)
    (folder / "traces").mkdir()
    for (scenario, label), cell in result.cells.items():
        for replication, run in enumerate(cell.runs):
            if run.trace is not None:
                run.trace.to_npz(folder / "traces" / f"{_file_name(scenario, label, str(replication))}.npz")
    write_json(folder / MARK, _run_record(args, began, "simpy"))


def _simulate(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    if (args.scenario is None) == (args.trace is None):
        raise InputError("give either a scenario or --trace FILE; allowed: exactly one of them")
    (scenario,) = _scenarios(args, [] if args.scenario is None else [args.scenario])
    from tpssim.artefacts import MARK, check_out, results_folder, write_json
    from tpssim.experiment import contender, simulate
    from tpssim.metrics import METRICS, measure
    from tpssim.verdicts import judge

    label = contender(args.controller).label
    out = args.out or Path("results") / _file_name(f"simulate-{scenario.name}", label)
    check_out(out)
    trace = simulate(scenario, args.controller, seed=args.seed, replication=args.replication)
    measures = measure(trace)
    verdict = judge(trace)
    import math

    document = {
        "tpssim": VERSION,
        "command": _command(args),
        "scenario": scenario.name,
        "controller": trace.meta["controller"],
        "parameters": trace.meta["parameters"],
        "seed": args.seed,
        "replication": args.replication,
        "verdict": verdict._asdict(),
        "metrics": {name: value if math.isfinite(value) else None for name, value in measures.items()},
    }
    with results_folder(out) as folder:
        from tpssim import plots

        write_json(folder / "summary.json", document)
        trace.to_csv(folder / "trace.csv")
        trace.to_npz(folder / "trace.npz")
        plots.save(trace.plot(), folder / "rate.png", f"{_command(args)} (tpssim {VERSION})")
        write_json(folder / MARK, _run_record(args, began, trace.meta["engine"]))
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
        return 0
    print(f"{label} on {scenario.name}: {verdict.word} ({verdict.reason})\n")
    for name, value in measures.items():
        print(f"{name:16}{value:>14.6g} {METRICS[name].unit}")
    print(f"\nWritten to {out}: rate.png, trace.csv, trace.npz, summary.json")
    return 0


def _validate(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.artefacts import MARK, check_out, results_folder, write_json
    from tpssim.validation import CONFIDENCE, WIDEST, table, validate

    if args.seed < 0:
        raise InputError(f"seed={args.seed}; allowed: a whole number >= 0")
    out = args.out or Path("results") / "validate"
    check_out(out)
    outcomes = validate(args.cases, seed=args.seed, progress=_Progress("cases"))
    document = {
        "tpssim": VERSION,
        "command": _command(args),
        "seed": args.seed,
        "confidence": CONFIDENCE,
        "widest": WIDEST,
        "cases": {outcome.case: outcome._asdict() for outcome in outcomes},
    }
    with results_folder(out) as folder:
        write_json(folder / "summary.json", document)
        write_json(folder / MARK, _run_record(args, began, "simpy"))
    failed = [outcome.case for outcome in outcomes if not outcome.holds]
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(table(outcomes))
        calls = sum(outcome.calls for outcome in outcomes)
        verdict = f"{len(failed)} of {len(outcomes)} fail: {', '.join(failed)}" if failed else "all hold"
        print(f"\n{calls:,} calls, {len(outcomes)} cases: {verdict}. Written to {out}: summary.json")
    return 1 if failed else 0


def _list(args: argparse.Namespace) -> int:
    from tpssim import catalogue

    document = catalogue.entries(args.kind, args.name)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(catalogue.text(document, args.name))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        args = _parser().parse_args(argv)
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
    except InputError as error:
        print(f"tpssim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tpssim: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
