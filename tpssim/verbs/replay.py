"""`tpssim replay`: a recorded live run, decided again, and what other laws would have done."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpssim.core import VERSION, InputError
from tpssim.verbs.common import add_common, command, file_name, run_record, specs


def add(verbs: Any) -> None:
    """The verb on the command line."""
    parser = verbs.add_parser(
        "replay", help="a recorded live run: the same decisions again, and what other laws would have done"
    )
    parser.add_argument("recording", metavar="FILE", help="as written by live --record, or by record=")
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
    from tpssim import contenders, experiment, plots, replays
    from tpssim.artefacts import MARK, check_out, results_folder, write_json
    from tpssim.scenario import frame

    if args.seed < 0:
        raise InputError(f"seed={args.seed}; allowed: a whole number >= 0")
    out = args.out or Path("results") / file_name(f"replay-{path.stem}")
    check_out(out)
    scenario = replays.scenario_of(recording, back.calls)
    live = replays.trace_of(recording, back, scenario)
    from tpssim.controllers import CONTROLLERS

    name = recording.header["controller"]
    recorded = CONTROLLERS[name](**recording.header["parameters"])
    rivals: dict[str, Any] = {f"{name} (simulated)": recorded}
    for spec in specs(args.controllers) if args.controllers else []:
        rivals[contenders.contender(spec).label] = spec
    traces = {f"{name} (live)": live}
    for label, rival in rivals.items():
        traces[label] = experiment.simulate(scenario, rival, seed=args.seed)
    table = {label: replays.numbers(trace) for label, trace in traces.items()}
    document = {
        "tpssim": VERSION,
        "command": command(args),
        "recording": {key: recording.header[key] for key in ("began", "controller", "parameters", "late")},
        "calls": recording.start["calls"],
        "complete": bool(recording.report),
        "decisions": back.decisions,
        "difference": back.difference,
        "report": _plain(recording.report),
        "numbers": {label: _plain(row) for label, row in table.items()},
    }
    with results_folder(out) as folder:
        write_json(folder / "summary.json", document)
        live.to_csv(folder / "live.csv")
        title = f"{path.name}: live, and what the laws would have done"
        panels = [trace.panel(label) for label, trace in traces.items()]
        figure = plots.overlay_figure(title, panels, plots.Frame(*frame(scenario)), replays.ceiling(scenario))
        plots.save(figure, folder / "replay.png", f"{command(args)} (tpssim {VERSION})")
        write_json(folder / MARK, run_record(args, began, "replay"))
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
        return 1 if back.difference else 0
    seconds, whole = scenario.duration, "" if recording.report else ", cut off"
    print(f"{path}: {name}, {len(back.calls):,} slots in {seconds:.1f} s, calls {document['calls']}{whole}")
    if back.difference:
        print(f"Decided again: NOT as recorded: {back.difference}")
    else:
        print(f"Decided again: {back.decisions:,} decisions, all as recorded, to the bit")
    width = max(len(label) for label in table)
    print(f"\n{'':{width}}  throughput  commanded   swing  response p50       p99")
    for label, row in table.items():
        print(
            f"{label:{width}}  {row['throughput']:>8.1f}/s {row['commanded']:>8.1f}/s {row['swing']:>7.0%}"
            f"  {row['response_p50'] * 1e3:>9.2f} ms {row['response_p99'] * 1e3:>6.1f} ms"
        )
    print(
        "\nSimulated calls take as long as recorded ones of the same moment did. That the service may have"
        "\nbeen slow because of the calls themselves is not in it: a law that sends more is flattered."
    )
    print(f"Written to {out}: replay.png, live.csv, summary.json")
    return 1 if back.difference else 0


def _plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON: what is no number, or none that JSON has, is None; text stays."""
    return {k: v if isinstance(v, str) or math.isfinite(v) else None for k, v in report.items()}
