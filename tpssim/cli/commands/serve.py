"""`tpssim serve`: a consumer to try throttles on."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TextIO

from tpssim.cli.commands.quota_text import quota_text
from tpssim.core.errors import InputError

if TYPE_CHECKING:
    from tpssim.scenarios.service_quotas import ServiceQuota


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--rate", type=float, default=800.0, metavar="N", help="answers a second; default: 800"
    )
    parser.add_argument(
        "--servers", type=int, default=4, metavar="N", help="how many at a time; default: 4"
    )
    parser.add_argument(
        "--queue",
        type=float,
        default=100.0,
        metavar="N",
        help="how many wait; others get 503; default: 100",
    )
    parser.add_argument(
        "--schedule",
        metavar="S:RATE,...",
        help="other rates, seconds after the first request: 10:200,30:800",
    )
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="N/PER",
        help=(
            "at most N calls in a time, others get 429: 500/1m, or of their cost (GET /?cost=120):"
            " 200000/1m:cost; in windows one after the other: 100/1s:fixed; may be repeated"
        ),
    )
    parser.add_argument(
        "--count-refused", action="store_true", help="a call that finds no room counts as well"
    )
    parser.add_argument(
        "--no-retry-after",
        dest="retry_after",
        action="store_false",
        help="429 without saying when to come back",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="a CSV of all calls as they arrive: seconds,status,cost"
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: a free one, which is printed")
    parser.set_defaults(run=serve)


def serve(args: argparse.Namespace) -> int:
    from tpssim.live.demo_queue import VirtualQueue, parse_schedule
    from tpssim.live.demo_server import Server

    schedule = [] if args.schedule is None else parse_schedule(args.schedule)
    queue = VirtualQueue(args.rate, args.servers, args.queue, schedule)
    quotas = [_quota(text, args) for text in args.quota]
    with (
        _opened(args.log) as log,
        Server(queue, args.host, args.port, quotas=quotas, log=log) as server,
    ):
        host = f"[{args.host}]" if ":" in args.host else args.host
        where = f"http://{host}:{server.server_port}/"
        line = f"serving {where}: {args.rate:g} answers a second from {args.servers} servers"
        also = "".join(f", quota {text}" for text in args.quota)
        print(f"{line}, at most {args.queue:g} wait{also}; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print(json.dumps(server.report()), file=sys.stderr)
    return 0


def _quota(text: str, args: argparse.Namespace) -> ServiceQuota:
    from tpssim.scenarios.service_quotas import ServiceQuota

    found = quota_text(text)
    flags = float(args.count_refused), float(args.retry_after)
    return ServiceQuota(found.amount, found.per, found.of, found.window, *flags)


def _opened(path: str | None) -> AbstractContextManager[TextIO | None]:
    """The log; raises `InputError`."""
    if path is None:
        return contextlib.nullcontext()
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--log {path} cannot be written: {error.strerror}; allowed: a new file"
        ) from error
