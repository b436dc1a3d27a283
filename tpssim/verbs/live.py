"""`tpssim live`: real calls at a rate, under any law."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import math
import operator
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tpssim import callees
from tpssim.core import VERSION, InputError, checked_count
from tpssim.live.account import Report
from tpssim.live.arguments import checked_rate, checked_total, law_of
from tpssim.live.blocking import Run, run
from tpssim.live.loops import arun
from tpssim.live.meanings import MEANINGS
from tpssim.live.permits import Handle
from tpssim.live.watching import Onlooker
from tpssim.verbs.common import add_common, command, file_name, run_record, shown_in_public

EPILOG = """\
  python -m tpssim serve --rate 800 --schedule 10:200,30:800 --port 8000
  python -m tpssim live --url http://127.0.0.1:8000/ --tps 500 --seconds 60 --async --controller headroom
  python -m tpssim live --call mymodule:send --tps 200 --total 10000 --workers 8 --fail-if 'rate_error>1%'
A first Ctrl-C (or SIGTERM) stops in good order, with a report and whole files; a second one at once.
"""


def add(verbs: Any) -> None:
    """The verb on the command line."""
    parser = verbs.add_parser(
        "live",
        help="real calls at a rate, under any law: a callable, a command or a URL",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--call", metavar="MODULE:FUNCTION", help="or FILE.py:FUNCTION; gets the call's number"
    )
    parser.add_argument("--command", metavar="TEXT", help="a shell command; an exit code not 0 is a failure")
    parser.add_argument(
        "--url", metavar="URL", help="429 and 503 are drops, other answers from 400 up failures"
    )
    parser.add_argument("--method", default="GET", metavar="M", help="default: GET")
    parser.add_argument("--header", metavar="'NAME: VALUE'", action="append")
    parser.add_argument("--data", metavar="TEXT", help="the body of the request")
    parser.add_argument("--tps", type=float, required=True, metavar="RATE", help="the wanted rate, 1/s")
    parser.add_argument("--total", type=int, metavar="N", help="that many calls; default: until Ctrl-C")
    parser.add_argument("--seconds", type=float, metavar="S", help="for that long")
    parser.add_argument("--controller", default="fixed", metavar="LAW", help="default: fixed")
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="threads for the calls; default: 0, one call at a time, which holds up the schedule",
    )
    parser.add_argument(
        "--async", dest="asynchronous", action="store_true", help="calls in an event loop instead"
    )
    parser.add_argument("--max-in-flight", type=int, metavar="N", help="with --async; default: any number")
    parser.add_argument("--timeout", type=float, metavar="S", help="of a command or request; default: none")
    parser.add_argument(
        "--late", default="burst", metavar="POLICY", help="missed slots: burst, capped(N), delay or skip"
    )
    parser.add_argument("--spin", default="auto", help="auto (default), off, or seconds")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="default: NAME.ndjson beside the results folder, moved into it at the end",
    )
    parser.add_argument(
        "--fail-if", metavar="COND", action="append", help="such as 'rate_error>1%%': exit code 1 if it holds"
    )
    parser.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    add_common(parser)
    parser.set_defaults(run=live)


COMPARISONS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
UNITS = {"%": 0.01, "us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
NUMBERS = [name for name in Report._fields if name != "verdict"]


def live(args: argparse.Namespace) -> int:
    from tpssim.artefacts import check_out, plain

    began = time.perf_counter()
    conditions = [_condition(text) for text in args.fail_if or []]
    name, law = law_of(args.controller)
    _check(args)
    out = args.out or Path("results") / file_name(f"live-{_short(args)}")
    check_out(out, "live")  # which makes the folder above it
    recording = Path(args.record) if args.record else out.with_name(f"{out.name}.ndjson")
    options = {
        "controller": law,
        "late": args.late,
        "spin": args.spin,
        "seed": args.seed,
        "record": recording,
    }
    told = _Signals(recording)
    # The signals first: an event loop puts back the handlers that it found.
    with told.stopping(), contextlib.ExitStack() as stack:

        def started(handle: Handle) -> None:
            told.handle = handle
            if args.seconds is not None:
                timer = threading.Timer(args.seconds, handle.stop)
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
            if not args.quiet:
                stack.enter_context(Onlooker(handle, args.total, args.seconds))

        done = _drive(args, options, started)
    report = done.report
    failed = [text for text, holds in conditions if holds(report)]
    document = {
        "tpssim": VERSION,
        "command": command(args),
        "controller": name,
        "report": plain(report._asdict()),
        "metrics": {name: {"unit": unit, "definition": told} for name, (unit, told) in MEANINGS.items()},
        "failures": done.failures,
        "stopped": told.name,
        "failed": failed,
    }
    written = _write(args, out, recording, document, began)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(report)
        for failure, n in done.failures.items():
            print(f"  {n:,} times {failure}")
        where = recording if args.record else out / "recording.ndjson"
        again = f"; python -m tpssim replay {where}" if written else ""
        print(f"Written to {out}: {', '.join([*written, 'summary.json'])}{again}")
    for text in failed:
        print(f"tpssim: {text}, so this run has failed", file=sys.stderr)
    if failed:
        return 1
    return 130 if told.name and (args.total is not None or args.seconds is not None) else 0


def _check(args: argparse.Namespace) -> None:
    """What argparse cannot check."""
    given = [name for name in ("call", "command", "url") if getattr(args, name) is not None]
    if len(given) != 1:
        raise InputError("give one of --call, --command, --url; allowed: one of the three")
    checked_rate(args.tps)
    checked_total(args.total)
    for name in ("seconds", "timeout"):
        value = getattr(args, name)
        if value is not None and not 0.0 < value < math.inf:
            raise InputError(f"{name}={value:g}; allowed: a number in (0, inf)")
    if args.call is not None and args.timeout is not None:
        raise InputError("--timeout with --call: a callable cannot be cut off; allowed: --command, --url")
    if args.url is None and (args.method, args.header, args.data) != ("GET", None, None):
        raise InputError(
            "--method, --header and --data belong to --url, which is missing; allowed: with --url"
        )
    if args.max_in_flight is not None:
        checked_count("max_in_flight", args.max_in_flight)
        if not args.asynchronous:
            raise InputError("--max-in-flight belongs to --async, which is missing; allowed: --workers N")
    if args.workers < 0 or (args.asynchronous and args.workers):
        raise InputError(f"workers={args.workers}; allowed: a whole number >= 0, and 0 with --async")
    checked_count("seed", args.seed, 0)


def _short(args: argparse.Namespace) -> str:
    """What is driven, for a file's name."""
    if args.url:
        return shown_in_public("url", args.url).rpartition("://")[2]
    return str(args.call or args.command)


def _drive(args: argparse.Namespace, options: dict[str, Any], started: Callable[[Any], None]) -> Run:
    """Make the calls."""
    items = itertools.count() if args.total is None else range(args.total)
    request = callees.check_request(_request(args)) if args.url else None
    call: Any = None
    if args.call is not None:
        call, asynchronous = callees.python_callable(args.call)
        if asynchronous != args.asynchronous:
            raise InputError(
                f"call {args.call!r} is {'' if asynchronous else 'not '}asynchronous; "
                f"allowed: {'with' if asynchronous else 'without'} --async"
            )
    if args.asynchronous:
        if args.command is not None:
            call = callees.async_command(args.command, args.timeout)

        async def main() -> Run:
            async with contextlib.AsyncExitStack() as stack:
                made = call
                if request is not None:
                    made = await stack.enter_async_context(callees.async_url(request, args.timeout))
                limit = args.max_in_flight
                return await arun(made, items, args.tps, max_in_flight=limit, started=started, **options)

        return asyncio.run(main())
    with contextlib.ExitStack() as stack:
        if args.command is not None:
            call = callees.command(args.command, args.timeout)
        elif request is not None:
            call = stack.enter_context(callees.url(request, args.timeout, max(args.workers, 1)))
        return run(call, items, args.tps, workers=args.workers, started=started, **options)


def _request(args: argparse.Namespace) -> callees.Request:
    headers = {}
    for text in args.header or []:
        key, colon, value = text.partition(":")
        if not colon or not key.strip():
            raise InputError(f"header {text!r}; allowed: NAME: VALUE")
        headers[key.strip()] = value.strip()
    return callees.Request(args.url, args.method, headers, args.data)


class _Signals:
    """SIGINT and SIGTERM end the run in good order; a second one ends it at once."""

    def __init__(self, recording: Path) -> None:
        self.name = ""
        self.recording = recording
        self.handle: Handle | None = None  # of the run, once it has started

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        def stop(number: int, _: Any) -> None:
            if self.handle is None:
                raise KeyboardInterrupt
            if self.name:
                raise KeyboardInterrupt(f"the run was cut off; its recording, {self.recording}, is readable")
            self.name = signal.Signals(number).name
            self.handle.stop()
            told = f"tpssim: {self.name}: the calls in hand are waited for; a second one ends it at once\n"
            os.write(2, told.encode())  # a signal handler may not wait for a buffered stream

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _condition(text: str) -> tuple[str, Callable[[Report], bool]]:
    """`rate_error>1%` as (text, whether it holds of a report); raises `InputError`."""
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+.\deE]+?)\s*(%|us|ms|s|)\s*", text)
    if match is None or match[1] not in NUMBERS:
        allowed = f"NUMBER>VALUE[%|us|ms|s], NUMBER one of {', '.join(NUMBERS)}"
        raise InputError(f"--fail-if {text!r}; allowed: {allowed}")
    try:
        limit = float(match[3]) * UNITS[match[4]]
    except ValueError:
        raise InputError(f"--fail-if {text!r}: {match[3]!r} is no number; allowed: a number") from None
    return text.strip(), functools.partial(_holds, match[1], COMPARISONS[match[2]], limit)


def _holds(name: str, compared: Callable[[float, float], bool], limit: float, report: Report) -> bool:
    """Whether the condition holds; a number that does not exist fails too."""
    value = float(getattr(report, name))
    return math.isnan(value) or compared(value, limit)


def _write(
    args: argparse.Namespace, out: Path, recording: Path, document: dict[str, Any], began: float
) -> list[str]:
    """The results folder, from the recording; what is in it for the reader, besides the summary."""
    from tpssim import plots, replays
    from tpssim.artefacts import MARK, results_folder, write_json
    from tpssim.live.playback import play, read_recording
    from tpssim.scenario import frame
    from tpssim.traces import write_csv

    report, written = document["report"], []
    with results_folder(out, "live") as folder:
        write_json(folder / "summary.json", document)
        if report["released"] or report["refused"]:
            recorded = read_recording(recording)
            back = play(recorded)
            write_csv(folder / "live.csv", replays.columns_of(back.calls))
            written.append("live.csv")
        if report["ok"]:
            scenario = replays.scenario_of(recorded, back.calls)
            trace = replays.trace_of(recorded, back, scenario)
            trace.to_npz(folder / "live.npz")
            title = f"{_short(args)}: {document['controller']}, live"
            seen = plots.Frame(*frame(scenario))
            figure = plots.overlay_figure(title, [trace.panel("live")], seen, replays.ceiling(scenario))
            plots.save(figure, folder / "rate.png", f"{command(args)} (tpssim {VERSION})")
            written.append("rate.png")
        write_json(folder / MARK, run_record(args, began, "live"))
        if not args.record:
            os.replace(recording, folder / "recording.ndjson")
    return written
