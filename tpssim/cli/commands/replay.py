"""`tpssim replay`: a recorded live run, decided again, and what other laws would have done."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.cli.commands.common import add_common, command, file_name, run_record, specs, written_to
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count

if TYPE_CHECKING:
    from tpssim.live.playback import Playback, Recording
    from tpssim.output.records.parts import Figure
    from tpssim.simulation.trace import Trace


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "recording", metavar="FILE", help="as written by live --record, or by record="
    )
    parser.add_argument(
        "--controllers",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="laws to try on its service times, beside the recorded one",
    )
    add_common(parser)
    parser.set_defaults(run=replay)


def replay(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.live.playback import play, read_recording

    path = Path(args.recording)
    recording = read_recording(path)
    back = play(recording)
    from tpssim.core.types import OK
    from tpssim.experiments import replay
    from tpssim.output import plots, tables
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.scenarios.scenario import frame
    from tpssim.simulation.trace import write_csv

    checked_count("seed", args.seed, 0)
    out = args.out or Path("results") / file_name(f"replay-{path.stem}")
    check_out(out, "replay")
    # Without a call that went well there is nothing to simulate with; the decisions stand for
    # themselves.
    traces = {}
    if args.controllers or any(call.outcome == OK for call in back.calls):
        traces = _tried(args, recording, back)
    found = replay.Replay(recording, back, traces)
    figures: list[Figure] = []
    if traces:
        figures.append({"name": "replay", "file": "replay.png", "controllers": list(traces)})
    record = dataclasses.replace(found.record(), command=command(args), figures=figures)
    document = record.to_dict()
    with results_folder(out, "replay") as folder:
        write_json(folder / "summary.json", document)
        write_csv(folder / "live.csv", replay.columns_of(back.calls))
        for picture in figures:
            scenario = next(iter(traces.values())).scenario
            title = f"{path.name}: live, and what the laws would have done"
            panels = [trace.panel(label) for label, trace in traces.items()]
            seen = plots.Frame(*frame(scenario))
            ceiling = replay.ceiling(scenario, record.left_out)
            figure = plots.overlay_figure(title, panels, seen, ceiling)
            plots.save(figure, folder / picture["file"], f"{command(args)} (tpssim {VERSION})")
        write_json(folder / MARK, run_record(args, began, "replay"))
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        last = recording.events[-1]["t"] if recording.events else recording.start["t"]
        seconds, whole = last - recording.start["t"], "" if recording.report else ", cut off"
        law, calls = recording.header["controller"], recording.start["calls"]
        about = f"{path}: {law}, {len(back.calls):,} slots in {seconds:.1f} s, calls {calls}{whole}"
        print(tables.filled(about, further="  "))
        _show(back, found.numbers(), record.flattered, record.without)
        files = [*(picture["file"] for picture in figures), "live.csv", "summary.json"]
        print(written_to(out, files))
    return 1 if back.difference else 0


def _tried(args: argparse.Namespace, recording: Recording, back: Playback) -> dict[str, Trace]:
    """The recorded run, and what its law and others do with its service times, by name."""
    from tpssim.experiments import replay
    from tpssim.live.playback import recorded_law
    from tpssim.simulation import resolve
    from tpssim.simulation.run import simulate

    scenario = replay.scenario_of(recording, back.calls)
    name = recording.header["controller"]
    controllers: dict[str, Any] = {f"{name} (simulated)": recorded_law(recording)}
    for spec in specs(args.controllers) if args.controllers else []:
        controllers[resolve.throttle_spec(spec).label] = spec
    traces = {f"{name} (live)": replay.trace_of(recording, back, scenario)}
    for label, controller in controllers.items():
        traces[label] = simulate(scenario, controller, seed=args.seed)
    return traces


def _show(
    back: Playback, table: Mapping[str, Mapping[str, float]], flattered: Sequence[str], without: str
) -> None:
    """On stdout: whether it is as recorded, and the numbers."""
    from tpssim.experiments import replay
    from tpssim.output import tables
    from tpssim.output.tables import Column, Table

    if back.difference:
        print(tables.filled(f"Decided again: NOT as recorded: {back.difference}", further="  "))
    else:
        print(f"Decided again: {back.decisions:,} decisions, all as recorded, to the bit")
    if not table:
        print("No call went well: there are no service times to simulate with")
        return
    columns = [
        Column("", left=True),
        Column("throughput", "1/s", digits=1),
        Column("commanded", "1/s", digits=1),
        Column("spread", "%", scale=100.0),
        Column("p50", "ms", digits=2, scale=1e3),
        Column("p99", "ms", digits=1, scale=1e3),
    ]
    rows: list[list[float | str]] = [[label, *row.values()] for label, row in table.items()]
    for row in rows:
        if row[0] in flattered:
            row[1] = f"{columns[1].write(row[1])}*"
    print(f"\n{Table('', columns, rows).text()}")
    print("\nSimulated calls take as long as recorded ones of the same moment did.")
    if without:
        print(tables.filled(without))
    if flattered:
        print(tables.filled(f"* {replay.FLATTERED}", further="  "))
