"""`tpssim serve`: a consumer to try throttles on."""

from __future__ import annotations

import argparse
import json
import sys


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
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: a free one, which is printed")
    parser.set_defaults(run=serve)


def serve(args: argparse.Namespace) -> int:
    from tpssim.live.demo_server import Server, VirtualQueue, parse_schedule

    schedule = [] if args.schedule is None else parse_schedule(args.schedule)
    queue = VirtualQueue(args.rate, args.servers, args.queue, schedule)
    with Server(queue, args.host, args.port) as server:
        host = f"[{args.host}]" if ":" in args.host else args.host
        where = f"http://{host}:{server.server_port}/"
        line = f"serving {where}: {args.rate:g} answers a second from {args.servers} servers"
        print(f"{line}, at most {args.queue:g} wait; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print(json.dumps(queue.report()), file=sys.stderr)
    return 0
