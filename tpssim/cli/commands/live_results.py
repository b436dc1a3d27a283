"""What a live run leaves: conditions that it met or not, its summary, its folder, its words on
stdout.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import json
import math
import operator
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tpssim.cli.commands.common import written_to
from tpssim.cli.commands.endings import Ending
from tpssim.cli.commands.run_records import command, run_record, shown_in_public
from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.live.callees import Redirects
from tpssim.live.callees.addresses import address, masked
from tpssim.live.report import Report
from tpssim.live.runs import Run
from tpssim.output.format import seconds as span
from tpssim.output.tables import filled

if TYPE_CHECKING:
    from tpssim.output.records import LiveRecord
    from tpssim.output.records.parts import Figure

#: Its text, and whether it holds of a report.
Condition = tuple[str, Callable[[Report], bool]]
COMPARISONS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
UNITS = {"%": 0.01, "us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
#: What is asked for most, of the numbers of a report.
USUAL = ("rate_error", "errors", "drops", "late_p99", "latency_p99")
NUMBERS = [name for name in Report._fields if name != "verdict"]


def condition(text: str) -> Condition:
    """`rate_error>1%` as (text, whether it holds of a report); raises `InputError`."""
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+.\deE]+?)\s*(%|us|ms|s|)\s*", text)
    if match is None:
        allowed = "NUMBER>VALUE (or >=, <, <=), VALUE with %, us, ms, s or no unit"
        raise InputError(f"--fail-if {text!r:.60}; allowed: {allowed}, such as 'rate_error>1%'")
    if match[1] not in NUMBERS:
        close = difflib.get_close_matches(match[1], NUMBERS, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ";"
        raise InputError(
            f"--fail-if {text!r:.60}: a report has no number {match[1]!r:.30}{hint} allowed: such"
            f" as {', '.join(USUAL)}; all {len(NUMBERS)} are in the report of summary.json"
        )
    try:
        limit = float(match[3]) * UNITS[match[4]]
    except ValueError:
        raise InputError(
            f"--fail-if {text!r}: {match[3]!r} is no number; allowed: a number"
        ) from None
    return text.strip(), functools.partial(_holds, match[1], COMPARISONS[match[2]], limit)


def _holds(
    name: str, compared: Callable[[float, float], bool], limit: float, report: Report
) -> bool:
    """Whether the condition holds; a number that does not exist fails too."""
    value = float(getattr(report, name))
    return math.isnan(value) or compared(value, limit)


def stopped(args: argparse.Namespace, ending: Ending, seconds: float | None, report: Report) -> str:
    """Which signal ended a run, and how much there had been of the `seconds` and calls that were
    planned; "" if none did.
    """
    if not ending.name:
        return ""
    planned = "" if seconds is None else f" of {span(seconds)}"
    text = f"{ending.name} after {span(ending.after)}{planned}"
    if args.total is None:
        return text
    retries = " (with retries)" if args.retries else ""
    return f"{text}, {report.released + report.refused:,.0f} calls{retries} of {args.total:,}"


def record_of(
    args: argparse.Namespace,
    name: str,
    done: Run,
    redirects: Redirects,
    interrupted: str,
    conditions: list[Condition],
) -> LiveRecord:
    """What a run came to."""
    from tpssim.output.meanings import definitions
    from tpssim.output.records import LiveRecord
    from tpssim.output.results_dir import plain

    report = done.report
    failed = [text for text, holds in conditions if holds(report)]
    if not report.ok and (report.errors or report.refused):
        failed.append(f"none of the {report.released + report.refused:,.0f} calls succeeded")
    failures: dict[str, int] = {}
    for (
        failure,
        n,
    ) in done.failures.items():  # of a callable, they are words of somebody else's code
        failures[masked(failure)] = failures.get(masked(failure), 0) + n
    return LiveRecord(
        command=command(args),
        controller=name,
        report=plain(report._asdict()),
        metrics=definitions(),
        failures=failures,
        redirects=redirects.all(),
        stopped=interrupted,
        failed=failed,
        figures=[_picture(name)] if report.ok else [],
    )


def _picture(name: str) -> Figure:
    """The picture of a run in which calls went well."""
    return {
        "name": "live",
        "file": "rate.png",
        "controller": name,
        "traces": {name: "live.npz"},
    }


def show(
    args: argparse.Namespace,
    out: Path,
    recording: Path,
    record: LiveRecord,
    report: Report,
    written: list[str],
) -> None:
    """The run on stdout."""
    if args.json:
        print(json.dumps(record.to_dict(), indent=1, allow_nan=False))
        return
    if record.stopped:
        print(filled(f"interrupted by {record.stopped}", further="  "))
    for line in str(report).splitlines():
        print(filled(line, further=" " * 12 if line.startswith("  ") else "  "))
    for failure, n in record.failures.items():
        print(f"  {n:,} times {failure}")
    for answer, n in record.redirects.items():
        share = "all" if n == report.ok + report.errors else f"{n:,} of the"
        print(
            f"  {share} {report.ok + report.errors:,.0f} answers were {answer}; no redirect is"
            " followed"
        )
    where = recording if args.record else out / "recording.ndjson"
    print(written_to(out, [*written, "summary.json"]))
    if written:
        print(f"  python -m tpssim replay {where}")


def short(args: argparse.Namespace) -> str:
    """What is driven, in a few words that are no secret."""
    if args.url is not None:
        return address(args.url).shown.partition("://")[2].rstrip("/")
    return args.call or shown_in_public("command", args.command).removesuffix(" ***")


def write(
    args: argparse.Namespace, out: Path, recording: Path, record: LiveRecord, began: float
) -> list[str]:
    """The results folder, from the recording; what is in it for the reader, besides the summary."""
    from tpssim.experiments import replay
    from tpssim.experiments.live_pictures import live_run
    from tpssim.live.playback import play, read_journal
    from tpssim.output import plots
    from tpssim.output.results_dir import MARK, results_folder, write_json
    from tpssim.simulation.trace import write_csv

    report, written = record.report, []
    with results_folder(out, "live") as folder:
        write_json(folder / "summary.json", record.to_dict())
        if report["released"] or report["refused"]:
            recorded = read_journal(recording)
            back = play(recorded)
            write_csv(folder / "live.csv", replay.columns_of(back.calls))
            written.append("live.csv")
        for picture in record.figures:
            scenario = replay.scenario_of(recorded, back.calls)
            trace = replay.trace_of(recorded, back, scenario)
            for file in picture["traces"].values():
                trace.to_npz(folder / file)
            title = f"{short(args)}: {record.controller}, live"
            figure = plots.live_figure(title, live_run(recorded, back.calls))
            plots.save(figure, folder / picture["file"], f"{command(args)} (tpssim {VERSION})")
            written.append(picture["file"])
        write_json(folder / MARK, run_record(args, began, "live"))
        if not args.record:
            shutil.copyfile(recording, folder / "recording.ndjson")
    if not args.record:
        recording.unlink()  # only now is it safe in the folder
    return written
