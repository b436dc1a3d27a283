"""`tpssim compare`: every throttle on every scenario under the same noise."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.cli.commands import EPILOG, compare_random
from tpssim.cli.commands.common import (
    add_common,
    add_draws,
    add_trace,
    default_out,
    executor_for,
    file_name,
    scenarios,
    specs,
    write_scenarios,
    written_to,
)
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION

if TYPE_CHECKING:
    from tpssim.core.schedule import Late
    from tpssim.experiments.comparison import Comparison
    from tpssim.experiments.executor import Beside
    from tpssim.output.records import CompareRecord
    from tpssim.output.records.parts import Figure


#: Pictures that a process draws while another one imports what draws.
AS_LONG_AS_IMPORTS = 6


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    # One option after the other: nothing to split.
    parser.epilog = EPILOG
    parser.add_argument(
        "--scenarios",
        metavar="A,B",
        nargs="+",
        action="extend",
        help="default: the core ones",
    )
    parser.add_argument(
        "--controllers",
        metavar="NAME",
        nargs="+",
        action="extend",
        help=(
            "default: the article's throttles as printed, and fixed, aimd, ewma-deadzone, headroom"
        ),
    )
    parser.add_argument(
        "--throttle",
        metavar="FILE.py:callable",
        nargs="+",
        action="extend",
        help=(
            "a throttle of your own beside them, called as (items, tps, total); or"
            " package.module:callable"
        ),
    )
    parser.add_argument(
        "--late",
        metavar="POLICY",
        action="append",
        help=(
            "what becomes of missed slots: auto, burst, capped(N), delay or skip; several are"
            " compared"
        ),
    )
    add_trace(parser)
    add_draws(parser)
    parser.add_argument(
        "--tps", type=float, metavar="RATE", help="the wanted rate, 1/s, in every scenario"
    )
    parser.add_argument("--replications", type=int, metavar="N", help="default: 5; with --random 1")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    parser.add_argument(
        "--league",
        action="store_true",
        help="instead: every law on every scenario where its actuator acts, scored and ranked",
    )
    compare_random.add(parser)
    parser.add_argument(
        "--weights",
        metavar="PART=N,...",
        help=(
            "of the parts of the league's score: goodput, useful, tail, smoothness, recovery,"
            " fairness; those not named: 0"
        ),
    )
    parser.add_argument(
        "--traces",
        choices=("first", "all"),
        default="first",
        help="which replications' traces are written",
    )
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="also: whether printed throttles equal their laws to the bit",
    )
    add_common(parser, seed="default: 0; of a league one that tuning does not use")
    parser.set_defaults(run=compare, seed=None)


def _policies(given: Sequence[str] | None) -> list[Late]:
    from tpssim.core.schedule import late_policy

    return [late_policy(word.strip()) for text in given or () for word in text.split(",")]


def _controllers(args: argparse.Namespace) -> list[Any] | None:
    """What was asked for; a throttle of one's own stands beside the default ones if no others are
    named.
    """
    from tpssim.experiments.compare import DEFAULT_CONTROLLERS
    from tpssim.simulation.hosting.user_code import Foreign

    named = None if args.controllers is None else specs(args.controllers)
    if args.throttle is None:
        return named
    named = list(DEFAULT_CONTROLLERS) if named is None else named
    return [*named, *(Foreign(spec) for spec in args.throttle)]


def compare(args: argparse.Namespace) -> int:
    if args.random is not None:
        return compare_random.compare_random(args)
    if args.kinds is not None:
        raise InputError("--kinds without --random; allowed: with it")
    args.replications = 5 if args.replications is None else args.replications
    if args.league:
        return _league(args)
    began = time.perf_counter()
    from tpssim.experiments.executor import garbage_seldom

    # First of all, for processes take time to begin.
    with garbage_seldom(), executor_for(args.workers, True, compiled=False) as executor:
        return _compare(args, executor, began)


def _compare(args: argparse.Namespace, executor: Executor | None, began: float) -> int:
    from tpssim.experiments import compare
    from tpssim.experiments.comparison_tables import DRAWN
    from tpssim.experiments.executor import Beside
    from tpssim.output.over_draws import draws_table
    from tpssim.output.results_dir import check_out, results_folder
    from tpssim.output.tables import Column
    from tpssim.scenarios.scenario import with_late
    from tpssim.simulation.compiled.compiling import never_compiled

    if args.weights is not None:
        raise InputError("--weights without --league; allowed: with it")
    args.seed = 0 if args.seed is None else args.seed
    chosen = scenarios(args, None if args.scenarios is None else specs(args.scenarios))
    named = "+".join(s.name for s in chosen if not DRAWN.search(s.name))
    name = named if args.scenarios or args.trace else "core"
    policies = _policies(args.late)
    if policies:
        chosen = [variant for scenario in chosen for variant in with_late(scenario, policies)]
    controllers = _controllers(args)
    out = args.out or default_out("compare", *([name, "late"] if policies else [name]))
    check_out(out, "compare")
    progress = Progress("runs", args.replications)
    first = executor is not None and never_compiled()
    if first:
        _ready_to_draw()  # here, for another process has more to compile
    elif executor is not None:
        executor.submit(_ready_to_draw)
    pictures = Beside(executor, spared=0 if first else AS_LONG_AS_IMPORTS)
    made = f"{command(args)} (tpssim {VERSION})"

    def draw(part: Comparison) -> None:
        (name,) = part.scenarios
        if not DRAWN.search(name):
            pictures.begin(f"{file_name(name)}.png", _drawn, made, *part.picture())

    result = compare.compare(
        chosen,
        controllers,
        replications=args.replications,
        seed=args.seed,
        keep=args.replications if args.traces == "all" else 1,
        executor=executor,
        progress=progress.weighed,
        compiling=progress.compiling,
        ended=draw,
    )
    figures = _figures(result.undrawn())
    with results_folder(out, "compare") as folder:
        record = _write_comparison(folder, result, figures, args, began, pictures, made)
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print(result.undrawn().table(checks=args.verbose))
        for base, throttles in result.over_draws().items():
            rows = (([label], over) for label, over in throttles.items())
            print(f"\n{draws_table(base, [Column('throttle', left=True)], rows).text()}")
        files = ["a picture for each scenario", "summary.json", "summary.csv", "traces/"]
        print(f"\n{written_to(out, files)}")
    return 0


def _write_comparison(
    folder: Path,
    result: Comparison,
    figures: list[Figure],
    args: argparse.Namespace,
    began: float,
    pictures: Beside,
    made: str,
) -> CompareRecord:
    """All that it leaves; what is written as its summary. Those of the pictures that are not begun
    are drawn beside it too.
    """
    from tpssim.output.results_dir import MARK, write_json
    from tpssim.output.tables import write_csv

    late = {
        throttle: result.late_pictures(throttle)
        for throttle in dict.fromkeys(label for _, label in result.cells)
    }
    for figure in figures:
        if figure["name"] != "rates":
            shown = late[figure["controller"]][figure["scenario"]]
            pictures.begin(figure["file"], _drawn, made, *shown)
    record = dataclasses.replace(
        result.record(), command=command(args), figures=figures, notes=args.notes
    )
    write_json(folder / "summary.json", record.to_dict())
    origin = {"seed": args.seed, "tpssim": VERSION, "command": command(args)}
    write_csv(folder / "summary.csv", ({**row, **origin} for row in result.rows()))
    _write_traces(folder / "traces", result)
    for file in reversed(pictures.jobs):
        (folder / file).write_bytes(pictures.result(file))
    write_scenarios(folder, args, list(result.scenarios.values()))
    write_json(folder / MARK, run_record(args, began, "auto"))
    return record


def _ready_to_draw() -> None:
    """Import what draws, in the process that has less to prepare."""
    from tpssim.output import plots  # noqa: F401


def _drawn(*job: Any) -> bytes:
    """`plots.drawn`, which the process that draws imports: whoever asks need not wait for that."""
    from tpssim.output import plots

    return plots.drawn(*job)


def _figures(result: Comparison) -> list[Figure]:
    """The pictures of a comparison: the rates on each scenario; under each late policy."""
    from tpssim.scenarios.scenario import base_of

    found: list[Figure] = []
    for name in result.scenarios:
        cells = result.of(name)
        traces = {
            label: f"traces/{_trace_file(name, label, 0)}"
            for label, cell in cells.items()
            if cell.runs[0].trace is not None
        }
        picture: Figure = {"name": "rates", "file": f"{file_name(name)}.png", "scenario": name}
        found.append({**picture, "controllers": list(cells), "traces": traces})
    throttles = dict.fromkeys(label for _, label in result.cells)
    found += [
        {
            "name": "late policies",
            "file": f"{file_name('late', base_of(group[0]), throttle)}.png",
            "scenario": base_of(group[0]),
            "controller": throttle,
            "late": [str(scenario.late) for scenario in group],
        }
        for throttle in throttles
        for group in result.late_variants()
    ]
    return found


def _trace_file(scenario: str, throttle: str, replication: int) -> str:
    """The name of the trace of a run."""
    return f"{file_name(scenario, throttle, str(replication))}.npz"


def _write_traces(folder: Path, result: Comparison) -> None:
    folder.mkdir()
    for (scenario, label), cell in result.cells.items():
        for replication, run in enumerate(cell.runs):
            if run.trace is not None:
                run.trace.to_npz(folder / _trace_file(scenario, label, replication))


def _league(args: argparse.Namespace) -> int:
    """The table of all laws, and its matrix."""
    began = time.perf_counter()
    from tpssim.experiments.league import SEED
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.output.tables import write_csv
    from tpssim.scenarios.builtin import SCENARIOS

    args.seed = SEED if args.seed is None else args.seed
    if args.late or args.traces != "first":
        raise InputError("--late and --traces do not go with --league; allowed: without it")
    given = args.scenarios if args.scenarios or args.trace else [*SCENARIOS]
    chosen = scenarios(args, None if given is None else specs(given))
    out = args.out or Path("results") / "league"
    check_out(out, "compare")
    result = compare_random.scored(args, chosen)
    found = result.record()
    ranked = [row["throttle"] for row in found.standings]
    picture: Figure = {"name": "matrix", "file": "league.png", "controllers": ranked}
    record = dataclasses.replace(found, command=command(args), figures=[picture], notes=args.notes)
    with results_folder(out, "compare") as folder:
        write_json(folder / "summary.json", record.to_dict())
        write_csv(folder / "league.csv", result.rows())
        plots.save(result.plot(), folder / "league.png", f"{command(args)} (tpssim {VERSION})")
        write_scenarios(folder, args, chosen)
        write_json(folder / MARK, run_record(args, began, "auto"))
    files = ["league.png", "league.csv", "summary.json"]
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print(f"{result.table()}\n\n{written_to(out, files)}")
    return 0
