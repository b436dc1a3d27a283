"""What each verb of the command line does: calls the library, prints, writes. No law and no measure is here.

The library is imported when a verb runs, so that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.core import VERSION, InputError

if TYPE_CHECKING:
    from tpssim.comparison import Comparison
    from tpssim.pacing import Late
    from tpssim.scenario import Scenario


def _specs(given: Sequence[str]) -> list[str]:
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

    named = None if args.controllers is None else _specs(args.controllers)
    if args.throttle is None:
        return named
    named = [*PRINTED, *CONTROLLERS] if named is None else named
    return [*named, *(Foreign(spec) for spec in args.throttle)]


def compare(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.scenario import with_late

    scenarios = _scenarios(args, None if args.scenarios is None else _specs(args.scenarios))
    policies = _policies(args.late)
    if policies:
        scenarios = [variant for arena in scenarios for variant in with_late(arena, policies)]
    controllers = _controllers(args)
    name = _file_name("+".join(s.name for s in scenarios) if args.scenarios or args.trace else "core")
    out = args.out or Path("results") / f"compare-{name}"
    from tpssim import experiment
    from tpssim.artefacts import check_out, results_folder

    check_out(out)
    result = experiment.compare(
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
    write_json(folder / MARK, _run_record(args, began, "auto"))


def simulate(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    if (args.scenario is None) == (args.trace is None):
        raise InputError(
            "give either SCENARIO CONTROLLER or --trace FILE CONTROLLER; allowed: one of the two"
        )
    (scenario,) = _scenarios(args, [] if args.scenario is None else [args.scenario])
    from tpssim import experiment
    from tpssim.artefacts import MARK, check_out, results_folder, write_json
    from tpssim.metrics import METRICS, measure
    from tpssim.verdicts import judge

    label = experiment.contender(args.controller).label
    out = args.out or Path("results") / _file_name(f"simulate-{scenario.name}", label)
    check_out(out)
    trace = experiment.simulate(scenario, args.controller, seed=args.seed, replication=args.replication)
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


def validate(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim import validation
    from tpssim.artefacts import MARK, check_out, results_folder, write_json

    if args.seed < 0:
        raise InputError(f"seed={args.seed}; allowed: a whole number >= 0")
    out = args.out or Path("results") / "validate"
    check_out(out)
    outcomes = validation.validate(args.cases, seed=args.seed, progress=_Progress("cases"))
    document = {
        "tpssim": VERSION,
        "command": _command(args),
        "seed": args.seed,
        "confidence": validation.CONFIDENCE,
        "widest": validation.WIDEST,
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
        print(validation.table(outcomes))
        calls = sum(outcome.calls for outcome in outcomes)
        verdict = f"{len(failed)} of {len(outcomes)} fail: {', '.join(failed)}" if failed else "all hold"
        print(f"\n{calls:,} calls, {len(outcomes)} cases: {verdict}. Written to {out}: summary.json")
    return 1 if failed else 0


def listing(args: argparse.Namespace) -> int:
    from tpssim import catalogue

    document = catalogue.entries(args.kind, args.name)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(catalogue.text(document, args.name))
    return 0
