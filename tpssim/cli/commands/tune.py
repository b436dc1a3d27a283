"""`tpssim tune`: the parameters of a law that do best on some scenarios, or on one's own
recording.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tpssim.cli.commands.common import (
    add_common,
    add_draws,
    add_trace,
    columns_given,
    default_out,
    executor_for,
    overlap_note,
    scenarios,
    specs,
    write_scenarios,
    written_to,
)
from tpssim.cli.commands.progress import StageProgress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.cli.commands.sweep import saying_what_is_kept
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.output.tables import filled

if TYPE_CHECKING:
    from tpssim.experiments.tuning.sensitivity import Sensitivity
    from tpssim.experiments.tuning.tune_result import TuneResult
    from tpssim.output.records import TuneRecord
    from tpssim.output.records.parts import Figure
    from tpssim.scenarios.scenario import Scenario

#: What a law that adapts has to master: a constant overload, a change, short disturbances.
USUAL = ("blocking-steady", "degrade-recover", "spikes")

EPILOG = """\
objectives: score and achieved (more is better), tracking, churn, latency,
balanced (less is better; default); a measure, in its own sense; or a formula of
these and of measures with + - * / and numbers, in which achieved and score are
their plain values. One that makes a measure worse says which way is better:
"max: achieved - churn", "min: period". Two give a front of compromises (needs
the extra tune)
  python -m tpssim tune ewma-deadzone
  python -m tpssim tune headroom --scenarios spikes,stall --worst \\
    --objective "tracking + 0.1 * churn"
  python -m tpssim tune ewma-deadzone --parameters alpha,deadzone=1:3 \\
    --sensitivity
  python -m tpssim tune aimd --trace my_calls.csv --objective tracking churn
A run that is interrupted or killed goes on where it was when the same command
is given again.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "law", metavar="LAW", help="such as ewma-deadzone; its parameters are the default"
    )
    parser.add_argument(
        "--scenarios",
        nargs="+",
        metavar="A,B",
        help=f"default: {','.join(USUAL)}, or with --trace the recording alone",
    )
    add_trace(parser)
    add_draws(parser)
    parser.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    parser.add_argument(
        "--objective", nargs="+", metavar="O", default=["balanced"], help="one, or two for a front"
    )
    parser.add_argument(
        "--worst", action="store_true", help="the worst scenario counts, not their mean"
    )
    parser.add_argument(
        "--parameters",
        nargs="+",
        metavar="P,Q=LOW:HIGH",
        help="which, and where to look; default: all, where their record says",
    )
    parser.add_argument(
        "--budget", type=int, metavar="N", help="settings; default: 120 for each parameter"
    )
    parser.add_argument(
        "--replications",
        type=int,
        default=5,
        metavar="N",
        help="of a setting in the search; default: 5",
    )
    parser.add_argument(
        "--sensitivity",
        action="store_true",
        help="also how much of the objective each parameter makes",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    parser.add_argument(
        "--store", type=Path, metavar="FILE", help="keep every run there; reused when it fits"
    )
    add_common(parser)
    parser.set_defaults(run=tune)


def _parameters(given: list[str] | None) -> dict[str, tuple[float, float] | None] | None:
    """`A,B=LOW:HIGH` as bounds by name."""
    if given is None:
        return None
    found: dict[str, tuple[float, float] | None] = {}
    for part in ",".join(given).split(","):
        name, equals, rest = part.partition("=")
        bounds = None
        if equals:
            try:
                low, high = (float(end) for end in rest.split(":"))
                bounds = low, high
            except ValueError:
                raise InputError(f"--parameters {part!r}; write NAME or NAME=LOW:HIGH") from None
        if not name or name in found:
            what = f"{name} is given twice" if name else f"{part!r} names nothing"
            raise InputError(f"--parameters: {what}; allowed: each name once")
        found[name] = bounds
    return found


def _wanted(args: argparse.Namespace, chosen: list[Scenario]) -> str:
    """Which rate is wanted of a recording, where nobody said."""
    given = (args.tps, args.stages, args.arrivals)
    if args.trace is None or any(load is not None for load in given):
        return ""
    from tpssim.scenarios.load import shown_target

    wanted = shown_target(chosen[-1])
    return f"wanted: {wanted}, twice the mean of the recording; --tps RATE for another"


def tune(args: argparse.Namespace) -> int:
    # Long, and in one piece: read, run, write and print, each once and in this order.
    began = time.perf_counter()
    from tpssim.experiments.sweep.store import remove
    from tpssim.experiments.tuning import sensitivity
    from tpssim.experiments.tuning.tune import tune
    from tpssim.output.results_dir import check_out, results_folder
    from tpssim.scenarios.recordings import overlapping

    parameters = _parameters(args.parameters)
    usual = None if args.trace is not None else USUAL
    given = usual if args.scenarios is None else specs(args.scenarios)
    chosen = scenarios(args, given or [])
    if len(args.objective) > 1 and args.sensitivity:
        raise InputError("--sensitivity with two objectives; allowed: with one")
    aims = args.objective[0] if len(args.objective) == 1 else args.objective
    robust = "worst" if args.worst else "mean"
    where = f"{len(chosen)}-scenarios" if given != USUAL else "usual"
    out = args.out or default_out("tune", args.law, chosen[0].name if len(chosen) == 1 else where)
    check_out(out, "tune")
    path = args.store or out.parent / f".{out.name}.sqlite"
    found = None
    # The file is made by the first that has found its arguments sound.
    with saying_what_is_kept(path), executor_for(args.workers) as executor:
        progress = StageProgress()
        result = tune(
            chosen,
            args.law,
            aims,
            parameters=parameters,
            robust=robust,
            replications=args.replications,
            seed=args.seed,
            budget=args.budget,
            executor=executor,
            store=path,
            progress=progress,
        )
        if args.sensitivity:
            found = sensitivity.sensitivity(
                chosen,
                args.law,
                aims,
                parameters=parameters,
                robust=robust,
                seed=args.seed,
                executor=executor,
                store=path,
                progress=progress,
            )
    overlap = (
        0.0
        if args.trace is None
        else overlapping(args.trace, column=args.column, columns=columns_given(args.columns))
    )
    notes = [note for note in (_wanted(args, chosen), overlap_note(overlap, args.trace)) if note]
    record = dataclasses.replace(
        result.record(),
        command=command(args),
        notes=[*args.notes, *notes],
        sensitivity=None if found is None else found.record(),
        figures=_figures(result, found),
    )
    with results_folder(out, "tune") as folder:
        written = _write(folder, result, found, record, args, began)
    if args.store is None:
        remove(path)  # it was there to resume from
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print("\n".join([*map(filled, notes), result.text()]))
        if found is not None:
            print(f"\n{found.text()}")
        print(f"\n{written_to(out, written)}")
    return 0


def _figures(result: TuneResult, found: Sensitivity | None) -> list[Figure]:
    """The pictures of a search."""
    names = ["convergence" if len(result.objectives) == 1 else "pareto", "profile"]
    names += [] if found is None else ["sensitivity"]
    return [
        {"name": name, "file": f"{name}.png", "controller": result.controller} for name in names
    ]


def _write(
    folder: Path,
    result: TuneResult,
    found: Sensitivity | None,
    record: TuneRecord,
    args: argparse.Namespace,
    began: float,
) -> list[str]:
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, write_json

    made = f"{command(args)} (tpssim {VERSION})"
    write_json(folder / "summary.json", record.to_dict())
    result.to_csv(folder / "points.csv")
    draw = {
        "convergence": result.plot_convergence,
        "pareto": result.plot_pareto,
        "profile": result.plot_profile,
    }
    if found is not None:
        draw["sensitivity"] = found.plot
    for figure in record.figures:
        plots.save(draw[figure["name"]](), folder / figure["file"], made)
    write_scenarios(folder, args, result.scenarios)
    write_json(folder / MARK, run_record(args, began, "auto"))
    return [*(figure["file"] for figure in record.figures), "points.csv", "summary.json"]
