"""`tpssim live`: real calls at a rate, under any law."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tpssim.cli.commands import live_results
from tpssim.cli.commands.common import LONGEST_OUT, add_common, file_name
from tpssim.cli.commands.endings import Ending
from tpssim.cli.commands.quota_text import quota_text
from tpssim.core.errors import InputError
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.validation import checked_count
from tpssim.live import callees
from tpssim.live.arguments import checked_cost, checked_rate, law_of
from tpssim.live.async_runs import arun
from tpssim.live.handle import Handle
from tpssim.live.monitor import LiveMonitor
from tpssim.live.retries import policy_of
from tpssim.live.runs import Run, run

EPILOG = """\
  python -m tpssim serve --rate 800 --schedule 10:200,30:800 --port 8000
  python -m tpssim live --url http://127.0.0.1:8000/ --tps 500 --seconds 60 \\
    --async --controller headroom
  python -m tpssim live --call mymodule:send --tps 200 --total 10000 \\
    --workers 8 --fail-if 'rate_error>1%'
A first Ctrl-C (or SIGTERM) stops in good order, with a report and whole files;
a second one at once.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    # One option after the other: nothing to split.
    parser.epilog = EPILOG
    parser.add_argument(
        "--call", metavar="MODULE:FUNCTION", help="or FILE.py:FUNCTION; gets the call's number"
    )
    parser.add_argument(
        "--command",
        metavar="TEXT",
        help=(
            "a shell command; an exit code not 0 is a failure; of it the results name the program"
            " alone"
        ),
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help=(
            "429 and 503 are drops, other answers from 400 up failures; so is a redirect, for none"
            " is followed (302 and 303 of a POST say that it was done); the results name scheme,"
            " host and path, and never the query, credentials, values of headers or the body"
        ),
    )
    parser.add_argument("--method", default="GET", metavar="M", help="default: GET")
    parser.add_argument("--header", metavar="'NAME: VALUE'", action="append")
    parser.add_argument("--data", metavar="TEXT", help="the body of the request")
    parser.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s; inf: none")
    parser.add_argument(
        "--stages",
        metavar="TIME:RATE,...",
        help=(
            "instead: each stage ends at its rate, reached linearly, and the run with the last:"
            " 30s:100,2m:500,30s:0"
        ),
    )
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="N/PER",
        help=(
            "never more than N calls in a time: 500/1m; of cost: 200000/1m:cost; in windows of the"
            " wall clock, as a service may count: 500/1m:fixed; may be repeated"
        ),
    )
    parser.add_argument(
        "--cost",
        type=float,
        metavar="N",
        help="what a call counts for in --tps, --stages and quotas of cost; default: 1",
    )
    parser.add_argument(
        "--total", type=int, metavar="N", help="that many calls; default: until Ctrl-C"
    )
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
    parser.add_argument(
        "--max-in-flight", type=int, metavar="N", help="with --async; default: any number"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help=(
            "for a whole request, to the last byte of its answer (default: 30; inf: none), or for a"
            " command (default: none)"
        ),
    )
    parser.add_argument(
        "--late",
        default="auto",
        metavar="POLICY",
        help="missed slots: auto, burst, capped(N), delay or skip",
    )
    parser.add_argument(
        "--retries",
        type=int,
        metavar="N",
        help=(
            "how often a call that did not go well is tried again, after 1, 2, 3, 5, ... s, or when"
            " the service asked; a retry takes a slot like any call; default: 0"
        ),
    )
    parser.add_argument("--spin", default="auto", help="auto (default), off, or seconds")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="default: NAME.ndjson beside the results folder, moved into it at the end",
    )
    parser.add_argument(
        "--fail-if",
        metavar="COND",
        action="append",
        help="such as 'rate_error>1%%': exit code 1 if it holds",
    )
    parser.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    add_common(
        parser, out="results/live-HOST-PATH, say, which URLs that differ in their query alone share"
    )
    parser.set_defaults(run=live)


PATIENCE = 30.0  # s for a request, if nothing else was asked for


def live(args: argparse.Namespace) -> int:
    from tpssim.core.locks import locked
    from tpssim.output.results_dir import check_out

    began = time.perf_counter()
    conditions = [live_results.condition(text) for text in args.fail_if or []]
    name, law = law_of(args.controller)
    _check(args)
    request = callees.check_request(_request(args)) if args.url is not None else None
    out = args.out or Path("results") / _folder(args)
    recording = Path(args.record) if args.record else out.with_name(f"{out.name}.ndjson")
    options = {
        "controller": law,
        "quotas": [_quota(text) for text in args.quota],
        "cost": 1.0 if args.cost is None else args.cost,
        "late": args.late,
        "spin": args.spin,
        "seed": args.seed,
        "record": recording,
        "results": False,  # a run may have no end
        "retries": args.retries,
    }
    total = None if args.retries else args.total  # with retries nobody knows which call is the last
    ending = Ending(recording, args.seconds, total, _patience(args))
    redirects = callees.Redirects()
    check_out(out, "live")  # which makes the folder above it
    with locked(out, "--out"), locked(recording, "--record"):
        # The signals first: an event loop puts back the handlers that it found.
        with ending.signals(), contextlib.ExitStack() as stack:

            def started(handle: Handle) -> None:
                handle.flow.from_verb = True
                stack.enter_context(ending.begin(handle))
                if not args.quiet:
                    monitor = stack.enter_context(LiveMonitor(handle, total, _seconds(args)))
                    ending.say = lambda text: monitor.say(f"tpssim: {text}")  # not across its panel

            done = _drive(args, request, redirects, options, started)
        stopped = live_results.stopped(args, ending, _seconds(args), done.report)
        record = live_results.record_of(args, name, done, redirects, stopped, conditions)
        try:
            written = live_results.write(args, out, recording, record, began)
        except InputError as error:
            raise InputError(f"{error}; the recording of the run is kept in {recording}") from error
    live_results.show(args, out, recording, record, done.report, written)
    for text in record.failed:
        print(f"tpssim: {text}, so this run has failed", file=sys.stderr)
    if record.failed:
        return 1
    planned = args.total is not None or _seconds(args) is not None
    return 130 if ending.name and planned else 0


def _check(args: argparse.Namespace) -> None:
    """What argparse cannot check."""
    given = [name for name in ("call", "command", "url") if getattr(args, name) is not None]
    if len(given) != 1:
        raise InputError("give one of --call, --command, --url; allowed: one of the three")
    _wanted(args)
    if args.cost is not None and not checked_cost(args.cost) > 0.0:
        raise InputError("--cost 0 leaves nothing to pace; allowed: a number above 0")
    policy_of(args.retries, _check)
    if args.total is not None and args.total < 1:
        raise InputError(f"--total {args.total} makes no call; allowed: a whole number >= 1")
    for name, most in (("seconds", "inf)"), ("timeout", "inf]")):
        value = getattr(args, name)
        if value is not None and not (
            0.0 < value < math.inf or (value == math.inf and most == "inf]")
        ):
            raise InputError(f"{name}={value:g}; allowed: a number in (0, {most}")
    if args.call is not None and args.timeout is not None:
        raise InputError(
            "--timeout with --call: a callable cannot be cut off; allowed: --command, --url"
        )
    if args.url is None and (args.method, args.header, args.data) != ("GET", None, None):
        raise InputError(
            "--method, --header and --data belong to --url, which is missing; allowed: with --url"
        )
    if args.max_in_flight is not None:
        checked_count("max_in_flight", args.max_in_flight)
        if not args.asynchronous:
            raise InputError(
                "--max-in-flight belongs to --async, which is missing; allowed: --workers N"
            )
    if args.workers < 0 or (args.asynchronous and args.workers):
        raise InputError(
            f"workers={args.workers}; allowed: a whole number >= 0, and 0 with --async"
        )
    checked_count("seed", args.seed, 0)
    if args.url is not None and args.timeout is None:
        args.timeout = PATIENCE  # so that the results name it


def _wanted(args: argparse.Namespace) -> float | Stages:
    """The wanted rate: one, or one over time."""
    if (args.tps is None) == (args.stages is None):
        given = (
            "neither --tps nor --stages is" if args.tps is None else "--tps and --stages are both"
        )
        raise InputError(f"{given} given; allowed: one of them")
    return checked_rate(args.tps) if args.stages is None else Stages(args.stages)


def _seconds(args: argparse.Namespace) -> float | None:
    """How long the run is to last, s; None: nobody knows."""
    wanted = _wanted(args)
    if not isinstance(wanted, Stages):
        return args.seconds  # type: ignore[no-any-return]
    return wanted.duration if args.seconds is None else min(args.seconds, wanted.duration)


def _quota(text: str) -> Quota:
    found = quota_text(text)
    return Quota(
        found.amount, found.per, of=found.of, window=found.window, align=found.window == "fixed"
    )


def _patience(args: argparse.Namespace) -> str:
    """How long a call may take, in words."""
    if args.call is not None:
        return "as long as they take"
    return (
        "as long as they take (see --timeout)"
        if _timeout(args) is None
        else f"each at most {args.timeout:g} s"
    )


def _timeout(args: argparse.Namespace) -> float | None:
    """The deadline of a call, s; None: none."""
    return None if args.timeout == math.inf else args.timeout


def _folder(args: argparse.Namespace) -> str:
    """The folder of the results, if no other is given: of a URL, by host and path."""
    return file_name(f"live-{re.sub(r'[][]', '', live_results.short(args))}", longest=LONGEST_OUT)


def _drive(
    args: argparse.Namespace,
    request: callees.Request | None,
    redirects: callees.Redirects,
    options: dict[str, Any],
    started: Callable[[Any], None],
) -> Run:
    """Make the calls."""
    items = itertools.count() if args.total is None else range(args.total)
    timeout = _timeout(args)
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
            call = callees.async_command(args.command, timeout)

        async def main() -> Run:
            async with contextlib.AsyncExitStack() as stack:
                made = call
                if request is not None:
                    made = await stack.enter_async_context(
                        callees.async_url(request, timeout, redirects)
                    )
                limit = args.max_in_flight
                return await arun(
                    made, items, _wanted(args), max_in_flight=limit, started=started, **options
                )

        return asyncio.run(main())
    with contextlib.ExitStack() as stack:
        if args.command is not None:
            call = callees.command(args.command, timeout)
        elif request is not None:
            call = stack.enter_context(
                callees.url(request, timeout, max(args.workers, 1), redirects)
            )
        return run(call, items, _wanted(args), workers=args.workers, started=started, **options)


def _request(args: argparse.Namespace) -> callees.Request:
    headers: dict[str, str] = {}
    for text in args.header or []:
        key, colon, value = text.partition(":")
        if not colon or not key.strip():  # what stands there may be the secret itself
            raise InputError("a --header without a name and a colon; allowed: 'NAME: VALUE'")
        if key.strip() in headers:
            raise InputError(
                f"header {key.strip()!r} is given twice; allowed: once, values with a comma between"
            )
        headers[key.strip()] = value.strip(" \t")
    return callees.Request(args.url, args.method, headers, args.data)
