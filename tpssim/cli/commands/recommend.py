"""`tpssim recommend`: from a recording, a scenario or a file to a law, and what to expect of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tpssim.cli.commands.common import (
    add_common,
    add_recording,
    default_out,
    executor_for,
    recording_of,
    specs,
    written_to,
)
from tpssim.cli.commands.progress import StageProgress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION

if TYPE_CHECKING:
    from tpssim.scenarios.recordings.calls import Recording

EPILOG = """\
the service: a recording (as fit reads it), a scenario's file or name
  python -m tpssim recommend my_calls.csv --tps 200
  python -m tpssim recommend log.csv --columns start=at,latency=took --tps 200
  python -m tpssim recommend my-service.toml --for latency
  python -m tpssim recommend llm-quota --for quota
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "service", metavar="SERVICE", help="a recording, a scenario's file, or a scenario's name"
    )
    parser.add_argument(
        "--for",
        dest="purpose",
        default="throughput",
        metavar="PURPOSE",
        help="throughput (default), latency, quota or fairness: what counts most",
    )
    parser.add_argument(
        "--tps", type=float, metavar="RATE", help="the wanted rate, 1/s; default: the scenario's"
    )
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help=(
            "how soon a call must succeed; default: the scenario's, and of a recording ten times"
            " the mean latency while the service is quickest"
        ),
    )
    parser.add_argument(
        "--controllers",
        nargs="+",
        metavar="A,B",
        help="the laws to choose from; default: all",
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=10,
        metavar="N",
        help="services drawn from what a fit leaves open, to choose on; default: 10",
    )
    parser.add_argument(
        "--budget",
        type=int,
        default=100,
        metavar="N",
        help="settings that are tried of each of the best three; default: 100",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    add_recording(parser)
    add_common(parser, out="results/recommend-SERVICE")
    parser.set_defaults(run=recommend)


def _service(args: argparse.Namespace) -> Recording | str:
    """The recording that was asked for, or the name or file of a scenario; raises `InputError`."""
    from tpssim.simulation.resolve import file_of

    given: str = args.service
    if not file_of(given) and Path(given).exists():
        return recording_of(args, given)
    if {args.columns, args.unit, args.name} != {None}:
        raise InputError(
            f"--columns, --unit and --name are of a recording, and {given} is a scenario;"
            " allowed: none of them"
        )
    return given


def recommend(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.experiments.recommend import recommend
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json

    out = args.out or default_out("recommend", args.service, args.purpose)
    check_out(out, "recommend")
    service = _service(args)
    with executor_for(args.workers, helped=True) as executor:
        found = recommend(
            service,
            purpose=args.purpose,
            tps=args.tps,
            deadline=args.deadline,
            controllers=args.controllers and specs(args.controllers),
            draws=args.draws,
            budget=args.budget,
            seed=args.seed,
            executor=executor,
            progress=StageProgress(),
        )
    made = command(args)
    record = dataclasses.replace(found.record(), command=made)
    if found.judged:  # on a model that is not known to be wrong
        record.figures.append({"name": "candidates", "file": "candidates.png"})
    files = [figure["file"] for figure in record.figures]
    with results_folder(out, "recommend") as folder:
        write_json(folder / "summary.json", record.to_dict())
        for file in files:
            plots.save(found.plot(), folder / file, f"{made} (tpssim {VERSION})")
        (folder / "use.py").write_text(f"{found.code}\n", encoding="utf-8")
        write_json(folder / MARK, run_record(args, began, "auto"))
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print(found.table())
        print(f"\n{written_to(out, [*files, 'use.py', 'summary.json'])}")
    return 0
