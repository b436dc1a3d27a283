"""`tpssim compare --random`: laws on services at random."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.cli.commands.common import (
    executor_for,
    file_name,
    scenarios,
    specs,
    written_to,
)
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tpssim.experiments.league import League
    from tpssim.experiments.over_services import OverServices
    from tpssim.output.records import ServicesRecord
    from tpssim.output.records.parts import Figure
    from tpssim.scenarios.scenario import Scenario

#: What says which scenarios or loads there are, which the draws say here.
APART = ("scenarios", "trace", "late", "league", "draws", "tps", "stages", "arrivals")


def add(parser: argparse.ArgumentParser) -> None:
    """Its options, beside those of `compare`."""
    parser.add_argument(
        "--random",
        type=int,
        metavar="N",
        help="instead: every law on N services and loads drawn at random (docs/services.md)",
    )
    parser.add_argument(
        "--kinds",
        metavar="A,B",
        nargs="+",
        action="extend",
        help="of --random: tuning, judging, all, or names of families; default: judging",
    )


def scored(args: argparse.Namespace, chosen: Sequence[Scenario]) -> League:
    """The laws and throttles of a command line on scenarios, scored; all laws if none is named."""
    from tpssim.controllers import CONTROLLERS
    from tpssim.core.validation import parse_spec
    from tpssim.experiments import compare
    from tpssim.simulation.hosting.user_code import Foreign

    named: list[Any] = [*CONTROLLERS] if args.controllers is None else [*specs(args.controllers)]
    named += [Foreign(spec) for spec in args.throttle or ()]
    weights = None if args.weights is None else parse_spec(f"weights:{args.weights}")[1]
    progress = Progress("runs", args.replications)
    with executor_for(args.workers, helped=True) as executor:
        return compare.league(
            chosen,
            named,
            replications=args.replications,
            seed=args.seed,
            weights=weights,
            executor=executor,
            progress=progress.weighed,
            compiling=progress.compiling,
        )


def compare_random(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.experiments.over_services import over_services
    from tpssim.experiments.random_services import random_scenarios
    from tpssim.output.results_dir import check_out, results_folder

    for name in APART:
        if getattr(args, name):
            raise InputError(f"--{name} does not go with --random; allowed: without it")
    if args.traces != "first":
        raise InputError("--traces does not go with --random; allowed: without it")
    args.seed = 0 if args.seed is None else args.seed
    args.replications = 1 if args.replications is None else args.replications
    kinds = "judging" if args.kinds is None else specs(args.kinds)
    drawn: Any = random_scenarios(args.random, args.seed, kinds)
    chosen = _hostable(args, scenarios(args, drawn))
    out = args.out or Path("results") / "random"
    check_out(out, "compare")
    league = scored(args, chosen)
    result = over_services(league)
    found = result.record()
    ranked = [row["throttle"] for row in found.standings]
    picture: Figure = {"name": "matrix", "file": "services.png", "controllers": ranked}
    record = dataclasses.replace(found, command=command(args), figures=[picture], notes=args.notes)
    with results_folder(out, "compare") as folder:
        _write(folder, result, record, args, began, chosen)
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        files = ["services.png", "services.csv", "summary.json", "scenarios/"]
        print(f"{result.table()}\n\n{written_to(out, files)}")
    return 0


def _hostable(args: argparse.Namespace, drawn: Sequence[Scenario]) -> list[Scenario]:
    """Those that a throttle which waits by itself can be put to, if there is one."""
    from tpssim.simulation.hosting.runner import unhosted

    left = [one for one in drawn if not (args.throttle and unhosted(one))]
    if lost := len(drawn) - len(left):
        note = (
            f"{lost} of {len(drawn)} services are left out, whose loads or costs no throttle of"
            " your own can be put to"
        )
        args.notes.append(note)
        print(f"tpssim: {note}", file=sys.stderr)
    if not left:
        raise InputError(f"--kinds: none of {len(drawn)} services is left; allowed: other families")
    return left


def _write(
    folder: Path,
    result: OverServices,
    record: ServicesRecord,
    args: argparse.Namespace,
    began: float,
    chosen: Sequence[Scenario],
) -> None:
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, write_json
    from tpssim.output.tables import write_csv

    write_json(folder / "summary.json", record.to_dict())
    write_csv(folder / "services.csv", result.rows())
    plots.save(result.plot(), folder / "services.png", f"{command(args)} (tpssim {VERSION})")
    (folder / "scenarios").mkdir()
    for scenario in chosen:
        scenario.to_toml(folder / "scenarios" / f"{file_name(scenario.name)}.toml")
    write_json(folder / MARK, run_record(args, began, "auto"))
