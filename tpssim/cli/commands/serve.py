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
    from tpssim.live.demo_server import Answers
    from tpssim.scenarios.service_quotas import ServiceQuota

#: The service unless another is asked for.
RATE, SERVERS, QUEUE = 800.0, 4, 100.0


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--service",
        metavar="SCENARIO",
        help=(
            "the service of a scenario, by its file or name, as the model has it: servers, times,"
            " network, limits, quotas, failures, and what changes; instead of what follows up to"
            " --no-retry-after"
        ),
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the noise of such a service; default: 0"
    )
    parser.add_argument(
        "--rate", type=float, metavar="N", help=f"answers a second; default: {RATE:g}"
    )
    parser.add_argument(
        "--servers", type=int, metavar="N", help=f"how many at a time; default: {SERVERS}"
    )
    parser.add_argument(
        "--queue",
        type=float,
        metavar="N",
        help=f"how many wait; others get 503; default: {QUEUE:g}",
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
    from tpssim.live.demo_server import Server

    service, words = _asked(args) if args.service is None else _played(args)
    quotas = [_quota(text, args) for text in args.quota]
    with (
        _opened(args.log) as log,
        Server(service, args.host, args.port, quotas=quotas, log=log) as server,
    ):
        host = f"[{args.host}]" if ":" in args.host else args.host
        where = f"http://{host}:{server.server_port}/"
        print(f"serving {where}: {words}; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print(json.dumps(server.report()), file=sys.stderr)
    return 0


def _asked(args: argparse.Namespace) -> tuple[Answers, str]:
    """The service of the options, and what it is."""
    from tpssim.live.demo_queue import VirtualQueue, parse_schedule

    if args.seed is not None:
        raise InputError(f"--seed {args.seed} without --service; allowed: together")
    rate = RATE if args.rate is None else args.rate
    servers = SERVERS if args.servers is None else args.servers
    places = QUEUE if args.queue is None else args.queue
    schedule = [] if args.schedule is None else parse_schedule(args.schedule)
    also = "".join(f", quota {text}" for text in args.quota)
    words = f"{rate:g} answers a second from {servers} servers, at most {places:g} wait{also}"
    return VirtualQueue(rate, servers, places, schedule), words


def _played(args: argparse.Namespace) -> tuple[Answers, str]:
    """The service of a scenario, and its name."""
    from tpssim.core.validation import checked_count
    from tpssim.live.demo_service import PlayedService
    from tpssim.simulation.resolve import scenario_named

    own = {
        "--rate": args.rate is not None,
        "--servers": args.servers is not None,
        "--queue": args.queue is not None,
        "--schedule": args.schedule is not None,
        "--quota": bool(args.quota),
        "--count-refused": args.count_refused,
        "--no-retry-after": not args.retry_after,
    }
    if given := [name for name, there in own.items() if there]:
        raise InputError(f"{given[0]} with --service, which says it; allowed: one of the two")
    seed = 0 if args.seed is None else args.seed
    checked_count("seed", seed, 0)
    scenario = scenario_named(args.service)
    return PlayedService(scenario, seed), f"the service of {scenario.name}, seed {seed}"


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
