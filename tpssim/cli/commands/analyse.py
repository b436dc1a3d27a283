"""`tpssim analyse`: what theory predicts of a law on a scenario, beside the simulation."""

from __future__ import annotations

import argparse
import dataclasses
import time

from tpssim.cli.commands.common import (
    add_common,
    add_trace,
    default_out,
    scenarios,
    write_scenarios,
    written_to,
)
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.types import VERSION


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("controller", metavar="LAW")
    parser.add_argument(
        "--scenario", metavar="NAME", help="default: degrade-recover; or --trace FILE"
    )
    add_trace(parser)
    parser.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    parser.add_argument("--replications", type=int, default=10, metavar="N", help="default: 10")
    add_common(parser)
    parser.set_defaults(run=analyse)


def analyse(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.core.errors import InputError

    if args.scenario is not None and args.trace is not None:
        raise InputError("--scenario and --trace; allowed: one of the two")
    named = [] if args.trace is not None else [args.scenario or "degrade-recover"]
    (scenario,) = scenarios(args, named)
    from tpssim.experiments.analysis import analyses
    from tpssim.output import plots
    from tpssim.output.records.parts import Figure
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.simulation.resolve import throttle_spec

    label = throttle_spec(args.controller).label
    out = args.out or default_out("analyse", scenario.name, label)
    check_out(out, "analyse")
    found = analyses.analyse(
        scenario,
        args.controller,
        replications=args.replications,
        seed=args.seed,
        progress=Progress("runs"),
    )
    picture: Figure = {
        "name": "analysis",
        "file": "analysis.png",
        "scenario": scenario.name,
        "controller": label,
    }
    record = dataclasses.replace(found.record(), command=command(args), figures=[picture])
    document = record.to_dict()
    with results_folder(out, "analyse") as folder:
        write_json(folder / "summary.json", document)
        plots.save(found.plot(), folder / "analysis.png", f"{command(args)} (tpssim {VERSION})")
        write_scenarios(folder, args, [scenario])
        write_json(folder / MARK, run_record(args, began, found.trace.meta["engine"]))
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
        return 0
    print(found.table())
    print(f"\n{written_to(out, ['analysis.png', 'summary.json'])}")
    return 0
