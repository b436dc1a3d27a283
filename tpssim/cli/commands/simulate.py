"""`tpssim simulate`: one run."""

from __future__ import annotations

import argparse
import math
import time

from tpssim.cli.commands.common import (
    add_common,
    add_trace,
    default_out,
    scenarios,
    write_scenarios,
    written_to,
)
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.output.tables import Column, Table, filled


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("scenario", nargs="?", metavar="SCENARIO", help="or --trace FILE")
    parser.add_argument("controller", metavar="CONTROLLER")
    add_trace(parser)
    parser.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    parser.add_argument(
        "--replication", type=int, default=0, metavar="R", help="which noise; default: 0"
    )
    add_common(parser)
    parser.set_defaults(run=simulate)


def simulate(args: argparse.Namespace) -> int:
    # Long, and in one piece: read, run, write and print, each once and in this order.
    began = time.perf_counter()
    if (args.scenario is None) == (args.trace is None):
        raise InputError(
            "give either SCENARIO CONTROLLER or --trace FILE CONTROLLER; allowed: one of the two"
        )
    (scenario,) = scenarios(args, [] if args.scenario is None else [args.scenario])
    from tpssim.metrics.measure import METRICS, definitions, measured
    from tpssim.metrics.verdicts import judge, remark
    from tpssim.output import records
    from tpssim.output.results_dir import MARK, check_out, plain, results_folder, write_json
    from tpssim.simulation import resolve
    from tpssim.simulation.run import simulate

    label = resolve.throttle_spec(args.controller).label
    out = args.out or default_out("simulate", scenario.name, label)
    check_out(out, "simulate")
    trace = simulate(scenario, args.controller, seed=args.seed, replication=args.replication)
    measures, phases = measured(trace)
    verdict, beside = judge(trace, phases), remark(measures, phases, scenario)

    name = trace.meta["controller"]
    document = records.SimulateRecord(
        command=command(args),
        notes=args.notes,
        scenario=scenario.name,
        controller=name,
        parameters=trace.meta["parameters"],
        seed=args.seed,
        replication=args.replication,
        verdict={"word": verdict.word, "reason": verdict.reason, "remark": beside},
        metrics=plain(measures),
        never=[measure for measure, value in measures.items() if value == math.inf],
        definitions=definitions(),
        figures=[
            {
                "name": "rates",
                "file": "rate.png",
                "scenario": scenario.name,
                "controller": name,
                "traces": {name: "trace.npz"},
            }
        ],
    ).to_dict()
    with results_folder(out, "simulate") as folder:
        from tpssim.output import plots

        write_json(folder / "summary.json", document)
        trace.to_csv(folder / "trace.csv")
        trace.to_npz(folder / "trace.npz")
        plots.save(trace.plot(), folder / "rate.png", f"{command(args)} (tpssim {VERSION})")
        write_scenarios(folder, args, [scenario])
        write_json(folder / MARK, run_record(args, began, trace.meta["engine"]))
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
        return 0
    print(filled(f"{label} on {scenario.name}: {verdict.word} ({verdict.reason})", further="  "))
    if beside:
        print(filled(f"* {beside}", further="  "))
    print()
    columns = [Column("measure", left=True), Column("value"), Column("unit", left=True)]
    rows = [[name, f"{value:.6g}", METRICS[name].unit] for name, value in measures.items()]
    print(Table("", columns, rows).text())
    print(f"\n{written_to(out, ['rate.png', 'trace.csv', 'trace.npz', 'summary.json'])}")
    return 0
