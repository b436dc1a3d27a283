"""`tpssim replay`: a recorded live run, decided again, and what other laws would have done."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpssim.cli.commands.common import add_common, file_name, specs, written_to
from tpssim.cli.commands.progress import Progress
from tpssim.cli.commands.run_records import command, run_record
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count

if TYPE_CHECKING:
    from tpssim.experiments.replay import Replay
    from tpssim.live.playback import Journal, Playback
    from tpssim.output.records import ReplayRecord
    from tpssim.output.records.parts import Figure

RESPONSE = "p50, p99: response time (completion - scheduled) of calls that went well."


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
        help="laws to try on its service, beside the recorded one",
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=40,
        metavar="N",
        help="services from what the fit leaves open, on which laws are tried; default: 40 (the"
        " runs of fewer than 39 hold less than 95 %% of the next ones)",
    )
    parser.add_argument(
        "--own-times",
        action="store_true",
        help="each call takes as long as a recorded one of the same moment, instead of what the"
        " fitted service takes: of calls that overlapped a guess that flatters whoever sends more",
    )
    add_common(parser)
    parser.set_defaults(run=replay)


def replay(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim.live.playback import play, read_journal

    path = Path(args.recording)
    _check_kind(path)
    recording = read_journal(path)
    back = play(recording)
    from tpssim.core.types import OK
    from tpssim.experiments import replay
    from tpssim.output import plots, tables
    from tpssim.output.results_dir import MARK, check_out, results_folder, write_json
    from tpssim.scenarios.drawn import frame
    from tpssim.simulation.trace import write_csv

    checked_count("seed", args.seed, 0)
    out = args.out or Path("results") / file_name(f"replay-{path.stem}")
    check_out(out, "replay")
    # Without a call that went well there is nothing to simulate with; the decisions stand for
    # themselves.
    found = replay.Replay(recording, back, {})
    if args.controllers or any(call.outcome == OK for call in back.calls):
        found = _tried(args, recording, back)
    traces = found.traces
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
        _show(record, found.numbers())
        files = [*(picture["file"] for picture in figures), "live.csv", "summary.json"]
        print(written_to(out, files))
    return 1 if back.difference else 0


def _check_kind(path: Path) -> None:
    """Raise `InputError` for the calls of another tool: no law decided them."""
    from tpssim.scenarios.recordings.reading import kind_of

    kind = kind_of(path)
    if kind is not None and not kind.startswith("journal"):
        raise InputError(
            f"{path} is a recording ({kind}) without the decisions of a law; allowed: one of live"
            f" --record; to try laws on its service times: tpssim compare --trace {path}"
        )


def _tried(args: argparse.Namespace, recording: Journal, back: Playback) -> Replay:
    """The recorded run, and what its law and others do with its service, by name."""
    from tpssim.experiments import counterfactual, replay
    from tpssim.live.playback import recorded_law
    from tpssim.simulation import resolve
    from tpssim.simulation.run import simulate

    scenario = replay.scenario_of(recording, back.calls)
    name = recording.header["controller"]
    controllers: dict[str, Any] = {f"{name} (simulated)": recorded_law(recording)}
    for spec in specs(args.controllers) if args.controllers else []:
        controllers[resolve.throttle_spec(spec).label] = spec
    live = {f"{name} (live)": replay.trace_of(recording, back, scenario)}
    twin, predicted, full = "", {}, True
    if args.controllers and not args.own_times and counterfactual.overlapping(back.calls):
        found, services = counterfactual.twins(back.calls, scenario, args.draws, args.seed)
        progress = Progress("runs of the twins")
        predicted = counterfactual.predicted(services[1:], controllers, args.seed, progress)
        twin, scenario = found.line(), services[0]
        full = not found.estimates["backend.servers"].is_bound()
    simulated = {
        label: simulate(scenario, controller, seed=args.seed)
        for label, controller in controllers.items()
    }
    return replay.Replay(recording, back, {**live, **simulated}, twin, predicted, full)


def _show(record: ReplayRecord, table: Mapping[str, Mapping[str, float]]) -> None:
    """On stdout: whether it is as recorded, and the numbers."""
    from tpssim.experiments import replay
    from tpssim.output import tables
    from tpssim.output.tables import Column, Table

    print(tables.filled(record.said(), further="  "))
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
        if row[0] in record.flattered:
            row[1] = f"{columns[1].write(row[1])}*"
    print(f"\n{Table('', columns, rows).text()}")
    print(f"\n{tables.filled(RESPONSE)}")
    if record.twin:
        _show_twins(record)
        if record.flattered:
            print(tables.filled(f"* {replay.NOT_FULL}", further="  "))
        return
    print("Simulated calls take as long as recorded ones of the same moment did.")
    if record.without:
        print(tables.filled(record.without))
    if record.flattered:
        print(tables.filled(f"* {replay.FLATTERED}", further="  "))


def _show_twins(record: ReplayRecord) -> None:
    """On stdout: what the laws come to on services that may have been the recorded one."""
    from tpssim.output import tables
    from tpssim.output.format import number
    from tpssim.output.tables import Column, Table

    about = (
        "The calls overlapped, so the simulated ones are on a service fitted to them"
        f" ({record.twin}) and on others that may have been it: in 95 of 100 such runs the numbers"
        " are"
    )
    print(f"\n{tables.filled(about)}\n")
    columns = [
        Column("", left=True),
        Column("throughput 1/s", left=True),
        Column("p50 ms", left=True),
        Column("p99 ms", left=True),
    ]
    shown = {"throughput": 1.0, "response_p50": 1e3, "response_p99": 1e3}

    def between(row: Mapping[str, Any], name: str) -> str:
        ends = (row[name]["low"], row[name]["high"])
        return " to ".join(number(None if x is None else shown[name] * x) for x in ends)

    rows = [
        [f"{label}{'*' * (label in record.flattered)}", *(between(row, name) for name in shown)]
        for label, row in record.predicted.items()
    ]
    print(Table("", columns, rows, label=24).text())
