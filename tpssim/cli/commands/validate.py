"""`tpssim validate`: is the simulation right?"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from tpssim.cli.commands.common import add_common, file_name, written_to
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count
from tpssim.output.tables import filled


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--cases", metavar="NAME", nargs="+", action="extend", help="default: all")
    parser.add_argument(
        "--live",
        action="store_true",
        help=(
            "instead: the same scenario on the bench and over HTTP to a server of our own, in real"
            " time"
        ),
    )
    parser.add_argument(
        "--laws", metavar="NAME", nargs="+", action="extend", help="with --live; default: busy-time"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="of each live run; default: 30")
    add_common(parser)
    parser.set_defaults(run=validate)


def validate(args: argparse.Namespace) -> int:
    if args.live:
        return _live(args)
    if args.laws is not None or args.seconds is not None:
        raise InputError(
            "--laws and --seconds belong to --live, which is missing; allowed: with --live"
        )
    began = time.perf_counter()
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.validation import validate

    checked_count("seed", args.seed, 0)
    out = args.out or Path("results") / "validate"
    check_out(out, "validate")
    outcomes = validate.validate(args.cases, seed=args.seed, progress=Progress("cases"))
    record = dataclasses.replace(validate.record_of(outcomes, args.seed), command=command(args))
    document = record.to_dict()
    with results_folder(out, "validate") as folder:
        write_json(folder / "summary.json", document)
        write_json(folder / MARK, run_record(args, began, "simpy"))
    failed = [outcome.case for outcome in outcomes if not outcome.holds]
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(validate.table(outcomes))
        calls = sum(outcome.calls for outcome in outcomes)
        verdict = (
            f"{len(failed)} of {len(outcomes)} fail: {', '.join(failed)}" if failed else "all hold"
        )
        cases = f"{len(outcomes)} case{'s' * (len(outcomes) > 1)}"
        print(filled(f"\n{calls:,} calls, {cases}: {verdict}."))
        print(written_to(out, ["summary.json"]))
    return 1 if failed else 0


def _live(args: argparse.Namespace) -> int:
    """The bench against real time."""
    began = time.perf_counter()
    from tpssim.output import plots
    from tpssim.output.records.parts import Figure
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.scenarios.drawn import frame
    from tpssim.validation import live_against_simulated

    if args.cases is not None:
        raise InputError("--cases with --live; allowed: one of the two")
    laws = live_against_simulated.LAWS if args.laws is None else tuple(args.laws)
    seconds = 30.0 if args.seconds is None else args.seconds
    out = args.out or Path("results") / "validate-live"
    check_out(out, "validate")
    progress = Progress("live runs")
    pairs = live_against_simulated.side_by_side(laws, seconds=seconds, progress=progress)
    figures: list[Figure] = [
        {
            "name": "live against simulated",
            "file": file_name(f"{pair.law}-{pair.consumer}.png"),
            "scenario": pair.traces[0].scenario.name,
            "controller": pair.law,
        }
        for pair in pairs
    ]
    record = dataclasses.replace(
        live_against_simulated.record_of(pairs), command=command(args), figures=figures
    )
    document = record.to_dict()
    with results_folder(out, "validate") as folder:
        write_json(folder / "summary.json", document)
        for pair, picture in zip(pairs, figures, strict=True):
            live, simulated = pair.traces
            title = f"{pair.law}, {pair.consumer} HTTP: live and on the bench"
            panels = [live.panel("live"), simulated.panel("bench")]
            figure = plots.overlay_figure(
                title, panels, plots.Frame(*frame(live.scenario)), "achievable"
            )
            plots.save(figure, folder / picture["file"], f"{command(args)} (tpssim {VERSION})")
        write_json(folder / MARK, run_record(args, began, "live"))
    failed = [pair for pair in pairs if pair.complaints()]
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(live_against_simulated.table(pairs))
        verdict = f"{len(failed)} of {len(pairs)} differ" if failed else f"all {len(pairs)} agree"
        print(f"\nLive against the bench: {verdict}.")
        print(written_to(out, ["summary.json and a picture each"]))
    return 1 if failed else 0
