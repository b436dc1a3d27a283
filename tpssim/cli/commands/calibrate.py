"""`tpssim calibrate`: how this machine waits."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from tpssim.cli.commands.common import add_common
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.validation import checked_count
from tpssim.live.calibration import Measured, quantile, record_of
from tpssim.live.calibration import calibrate as measured_here
from tpssim.live.waiting import PreciseClock
from tpssim.output import format
from tpssim.output.tables import Column, Table, Value


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--sleeps",
        type=int,
        default=100,
        metavar="N",
        help="of each length and kind; default: 100, 8 s in all",
    )
    add_common(
        parser, seed="taken as by the other verbs; nothing is drawn here, so it changes nothing"
    )
    parser.set_defaults(run=calibrate)


COLUMNS = (
    Column("asked for", "ms", digits=1, scale=1e3),
    *(Column(f"late\n{name}", "us", scale=1e6) for name in ("p50", "p99", "max")),
)
MOST_SLEEPS = 100_000  # of each length and kind: two hours, and every one of them is kept
KINDS = {
    "sleep": "time.sleep",
    "slack1": "the live throttle's sleep (timer slack 1 ns where the system allows)",
    "asyncio": "asyncio.sleep on the default loop",
}


def calibrate(args: argparse.Namespace) -> int:
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json

    began = time.perf_counter()
    checked_count("sleeps", args.sleeps, 20, MOST_SLEEPS)
    out = args.out or Path("results") / "calibrate"
    check_out(out, "calibrate")
    cost, kinds = measured_here(Progress("rounds of sleeps"), args.sleeps)
    threshold = PreciseClock().threshold
    record = dataclasses.replace(record_of(cost, threshold, kinds), command=command(args))
    found = record.to_dict()
    with results_folder(out, "calibrate") as folder:
        write_json(folder / "timer.json", found)
        lines = ["kind,length,late"]
        lines += [
            f"{m.kind},{d!r},{x!r}" for m in kinds for d, values in m.late.items() for x in values
        ]
        (folder / "sleeps.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_json(folder / MARK, run_record(args, began, "live"))
    if args.json:
        import json

        print(json.dumps(found, indent=1, allow_nan=False))
        return 0
    print(f"Reading the clock: {cost * 1e9:.0f} ns")
    print(f"Spin threshold of throttle(spin='auto') to begin with: {threshold * 1e6:.0f} us")
    for kind in kinds:
        print(f"\n{_table(kind).text()}")
    timer = out / "timer.json"
    print(
        f"\nWritten to {timer} (and sleeps.csv):\n"
        f"  python -m tpssim simulate fast-async fixed --timer {timer}"
    )
    return 0


def _table(kind: Measured) -> Table:
    """How late sleeps of one kind ended, and the model of it."""
    rows: list[list[Value]] = [
        [length, *(quantile(values, q) for q in (0.5, 0.99, 1.0))]
        for length, values in kind.late.items()
    ]
    model = kind.model
    parts = [f"late {model.median * 1e6:.0f} us x exp({model.sigma:.2f} z)"]
    if model.granularity:
        parts.append(f"rounded up to {model.granularity * 1e3:g} ms")
    if model.proportional:
        parts.append(f"{format.share(model.proportional)} of the sleep")
    if model.spike:
        spikes = f"{model.spike_low * 1e3:.2g}-{model.spike_high * 1e3:.2g} ms"
        parts.append(f"with probability {format.share(model.spike, 1)} a spike of {spikes}")
    about = f"{kind.kind}: {KINDS[kind.kind]}"
    return Table(about, COLUMNS, rows, [("model:", ", ".join(parts))])
