"""`tpssim sweep`: one law at every point of a grid."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from tpssim.cli.commands.common import (
    add_common,
    add_draws,
    add_trace,
    default_out,
    executor_for,
    file_name,
    scenarios,
    write_scenarios,
    written_to,
)
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import Aborted, InputError, all_of, no_such
from tpssim.core.types import VERSION

if TYPE_CHECKING:
    from tpssim.experiments.sweep.studies import Named
    from tpssim.experiments.sweep.sweep_result import SweepResult
    from tpssim.output.records import SweepRecord
    from tpssim.output.records.parts import Figure

EPILOG = """\
studies: alpha-deadzone, spin-threshold (python -m tpssim list studies)
grid syntax: NAME=LOW:HIGH:N, NAME=LOW:HIGH:N:log, NAME=A,B,C;
with --design sobol or lhs: NAME=LOW:HIGH
  python -m tpssim sweep alpha-deadzone
  python -m tpssim sweep spin-threshold
  python -m tpssim sweep --grid alpha=0.05:0.5:10 deadzone=1.02,1.1,1.2
  python -m tpssim sweep --scenario blocking-steady --controller aimd \\
    --grid dec_rate=0.5:0.95:10 cv=0.2,1
A run that is interrupted or killed goes on where it was when the same command
is given again.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.epilog = EPILOG
    parser.add_argument("study", nargs="?", metavar="STUDY", help="a built-in sweep; see below")
    parser.add_argument(
        "--scenario", metavar="NAME", help="default: the study's, or degrade-recover"
    )
    parser.add_argument(
        "--controller", metavar="NAME", help="default: the study's, or ewma-deadzone"
    )
    add_trace(parser)
    add_draws(parser)
    parser.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    parser.add_argument(
        "--grid", metavar="NAME=VALUES", nargs="+", action="extend", help="one or more factors"
    )
    parser.add_argument(
        "--design", default="grid", metavar="D", help="grid (default), sobol or lhs"
    )
    parser.add_argument("--points", type=int, metavar="N", help="of a design that is no grid")
    parser.add_argument("--replications", type=int, metavar="N", help="default: 10, or the study's")
    parser.add_argument(
        "--seed-set",
        default="common",
        metavar="S",
        help="common random numbers at all points (default), or independent ones",
    )
    parser.add_argument(
        "--heatmap", metavar="MEASURE", nargs="+", action="extend", help="over the first two"
    )
    parser.add_argument(
        "--plot",
        metavar="MEASURE",
        nargs="+",
        action="extend",
        help="MEASURE or MEASURE:X; X a factor or a measure",
    )
    parser.add_argument(
        "--traces", metavar="N", nargs="+", type=int, help="points whose first run is written"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on the workers of that Dask scheduler instead"
    )
    parser.add_argument(
        "--store", type=Path, metavar="FILE", help="keep every run there; reused when it fits"
    )
    add_common(parser)
    parser.set_defaults(run=sweep)


def _study(args: argparse.Namespace) -> Named:
    """The named study with what was asked for in place of its own, or one made of that alone."""
    from tpssim.experiments.sweep.studies import STUDIES, Named

    if args.study is None and args.grid is None:
        raise InputError(
            f"give a study or --grid NAME=VALUES; allowed studies: {', '.join(STUDIES)}"
        )
    if args.study is not None and args.study not in STUDIES:
        raise no_such("study", args.study, STUDIES)
    plain = Named(
        "degrade-recover", "ewma-deadzone", (), ("achieved", "swing"), ("achieved", "swing"), 10, ""
    )
    known = plain if args.study is None else STUDIES[args.study]
    asked = {
        "scenario": args.scenario,
        "controller": args.controller,
        "grid": args.grid,
        "heatmaps": args.heatmap,
        "plots": args.plot,
        "replications": args.replications,
    }
    return known._replace(**{name: value for name, value in asked.items() if value is not None})


@contextlib.contextmanager
def _executor(args: argparse.Namespace) -> Iterator[Executor | None]:
    """Where the runs are made: Dask's workers, processes of this machine, or here."""
    if args.dask is not None:
        try:
            from distributed import Client
        except ImportError as error:
            raise InputError("--dask needs the extra dask: pip install 'tpssim[dask]'") from error
        try:
            client = Client(args.dask, timeout=5)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--dask {args.dask}: no scheduler answers there; allowed: HOST:PORT"
            ) from error
        with client:
            yield client.get_executor(pure=False)
        return
    with executor_for(args.workers) as executor:
        yield executor


@contextlib.contextmanager
def saying_what_is_kept(path: Path) -> Iterator[None]:
    """An interrupt says where the runs are kept."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"what was done is kept in {path}; the same command goes on from there"
        raise KeyboardInterrupt(kept) from None


def sweep(args: argparse.Namespace) -> int:
    # Long, and in one piece: read, run, write and print, each once and in this order.
    began = time.perf_counter()
    study = _study(args)
    from tpssim.experiments.sweep import designs
    from tpssim.experiments.sweep.store import remove
    from tpssim.experiments.sweep.sweep import sweep
    from tpssim.experiments.sweep.sweep_table import drawn_table
    from tpssim.output.results_dir import check_out, results_folder
    from tpssim.simulation.resolve import throttle_spec

    if args.trace is not None and args.scenario is not None:
        raise InputError("--scenario and --trace; allowed: one of them")
    scenario, *drawn = scenarios(args, [study.scenario] if args.trace is None else [])
    axes = [designs.parse_axis(text) for text in study.grid]
    given_names = [name for name, _ in axes]
    for name in given_names:
        if given_names.count(name) > 1:
            raise InputError(f"grid: {name} is given twice; allowed: once")
    law = throttle_spec(study.controller).law
    names = (
        []
        if law is None
        else [factor.name for factor in designs.factors(scenario, law, dict(axes))]
    )
    ran = [args.study] if args.study else [study.controller, scenario.name]
    out = args.out or default_out("sweep", *ran)
    check_out(out, "sweep")
    _check_pictures(args, study, names)
    count = (
        args.points or 0 if args.design != "grid" else math.prod(len(values) for _, values in axes)
    )
    for number in args.traces or ():
        if not 0 <= number < count:
            raise InputError(f"--traces {number}: no such point; allowed: 0 to {count - 1}")
    store = args.store or out.parent / f".{out.name}.sqlite"
    progress = Progress("runs")
    with saying_what_is_kept(store), _executor(args) as executor:
        result = sweep(
            scenario,
            study.controller,
            dict(axes),
            design=args.design,
            points=args.points,
            replications=study.replications,
            seed=args.seed,
            seed_set=args.seed_set,
            drawn=drawn,
            executor=executor,
            store=store,
            progress=lambda done, total, calls: progress(done, total, f"{calls:,} calls"),
        )
    if len(result.failures) == len(result.rows):
        first = result.failures[0]
        reason = f"{first.type}: {first.message}".partition("\n")[0]
        raise Aborted(
            f"all {len(result.rows)} points failed, the first with {reason}; nothing was written"
        )
    figures = _figures(result, study, args.design == "grid")
    record = dataclasses.replace(
        result.record(), command=command(args), figures=figures, notes=args.notes
    )
    with results_folder(out, "sweep") as folder:
        written = _write(folder, result, record, args, began)
    if args.store is None:
        remove(store)  # it was there to resume from
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print(f"{result.summary()}\n\n{result.table()}")
        if over := result.over_draws():
            print(f"\n{drawn_table(scenario.name, result.rows, result.names(), over).text()}")
        print(f"\n{written_to(out, written)}")
    return 0


def _check_pictures(args: argparse.Namespace, study: Named, names: list[str]) -> None:
    """Refuse before anything runs what could not be drawn after it."""
    from tpssim.metrics.measure import METRICS
    from tpssim.output.verdict_words import WORDS

    known = [*METRICS, *WORDS]
    if args.heatmap is not None and (len(names) < 2 or args.design != "grid"):
        raise InputError("--heatmap needs a grid of two factors or more; allowed: --plot MEASURE")
    for metric in study.heatmaps:
        if metric not in (*known, "verdict"):
            raise no_such(
                "measure",
                metric,
                ["verdict", *known],
                "--heatmap: ",
                f"verdict, or {all_of('metrics')}",
            )
    for text in study.plots:
        metric, _, x = text.partition(":")
        where = f"--plot {text}: "
        if metric not in known:
            raise no_such("measure", metric, known, where, all_of("metrics"))
        if x and x not in (*names, *METRICS):
            shown = f"{', '.join(names)}, {all_of('metrics')}"
            raise no_such("factor or measure", x, [*names, *METRICS], where, shown)


def _figures(result: SweepResult, study: Named, grid: bool) -> list[Figure]:
    """The pictures that were asked for."""
    x, *others = result.names()
    figures: list[Figure] = []
    if others and grid:
        figures += [
            {
                "name": "heat map",
                "file": f"heatmap-{metric}.png",
                "measure": metric,
                "factors": [x, others[0]],
            }
            for metric in study.heatmaps
        ]
    for text in study.plots:
        metric, _, over = text.partition(":")
        file = f"{file_name(text)}.png"
        figures.append({"name": "line", "file": file, "measure": metric, "over": over or x})
    return figures


def _write(
    folder: Path,
    result: SweepResult,
    record: SweepRecord,
    args: argparse.Namespace,
    began: float,
) -> list[str]:
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, write_json

    made = f"{command(args)} (tpssim {VERSION})"
    write_json(folder / "summary.json", record.to_dict())
    result.to_csv(folder / "points.csv")
    written = ["points.csv", "summary.json"]
    if result.to_parquet(folder / "points.parquet"):
        written.append("points.parquet")
    for figure in record.figures:
        measure = figure["measure"]
        drawn = (
            result.heatmap(measure, *figure["factors"])
            if figure["name"] == "heat map"
            else result.plot(measure, figure["over"])
        )
        plots.save(drawn, folder / figure["file"], made)
    for number in args.traces or ():
        result.trace(number).to_npz(folder / f"point-{number}.npz")
    write_scenarios(folder, args, [result.scenario, *(one.scenario for one in result.drawn)])
    write_json(folder / MARK, run_record(args, began, "auto"))
    return [*(figure["file"] for figure in record.figures), *written]
