"""`tpssim fit`: a service learned from a recording of its calls, and whether the twin holds."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from tpssim.cli.commands.common import (
    add_common,
    add_recording,
    columns_given,
    default_out,
    recording_of,
    written_to,
)
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "recording",
        metavar="FILE",
        help="calls of any load generator, log or trace, or as live --record writes them",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.toml",
        type=Path,
        help="the service as a scenario's file, for --scenarios of every verb; FILE is its name;"
        " default: service.toml in the results folder",
    )
    parser.add_argument(
        "--holdout",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="of the time, at its end, that is not fitted but judged; 0: all is fitted;"
        " default: 0.5",
    )
    add_recording(parser)
    parser.add_argument(
        "--runs", type=int, default=20, metavar="N", help="of the twin in the check; default: 20"
    )
    parser.add_argument(
        "--plot", action="store_true", help="the picture of the check too, beside FILE.toml"
    )
    add_common(parser, out="results/fit-FILE")
    parser.set_defaults(run=fit)


def fit(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    columns_given(args.columns)  # what is wrong with them is said before anything heavy is loaded
    checked_count("seed", args.seed, 0)
    checked_count("runs", args.runs, 2)
    from tpssim.experiments.fitting.estimate import fit
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.scenarios.toml_text import checked_place, written

    path = Path(args.recording)
    out = args.out or default_out("fit", path.stem)
    check_out(out, "fit")
    if args.output is not None:
        checked_place(args.output)  # before anything is fitted
    found = fit(recording_of(args, args.recording), holdout=args.holdout, seed=args.seed)
    if args.output is not None:  # or two services of one recorder could not be compared
        named = found.scenario._replace(name=args.output.stem)
        found = dataclasses.replace(found, scenario=named)
    print(f"tpssim: {found.line()}; the twin runs {args.runs} times", file=sys.stderr)
    checked = found.check(args.runs, Progress("runs of the twin"))
    made = command(args)
    record = found.record(checked, made)
    record.figures.append({"name": "fit", "recording": path.name, "file": "fit.png"})
    figure = found.plot(checked)
    with results_folder(out, "fit") as folder:
        write_json(folder / "summary.json", record.to_dict())
        (folder / "service.toml").write_text(record.toml, encoding="utf-8")
        plots.save(figure, folder / "fit.png", f"{made} (tpssim {VERSION})")
        write_json(folder / MARK, run_record(args, began, "auto"))
    if args.output is not None:
        written(record.toml, args.output)
        if args.plot:
            plots.save(figure, args.output.with_suffix(".png"), f"{made} (tpssim {VERSION})")
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
    else:
        print(f"{found.table()}\n\n{checked.table()}")
        print(f"\n{written_to(out, ['service.toml', 'fit.png', 'summary.json'])}")
        if args.output is not None:
            print(f"The service is in {args.output}: compare --scenarios {args.output}")
    return 0 if checked.holds else 1
