"""`tpssim serve`: a consumer to try throttles on."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import Any


def serve(args: argparse.Namespace) -> int:
    from tpssim.server import Server, VirtualQueue, parse_schedule

    schedule = [] if args.schedule is None else parse_schedule(args.schedule)
    queue = VirtualQueue(args.rate, args.servers, args.queue, schedule)
    with Server(queue, args.host, args.port) as server:
        signal.signal(signal.SIGTERM, _interrupt)
        where = f"http://{args.host}:{server.server_port}/"
        told = f"serving {where}: {args.rate:g} answers a second from {args.servers} servers"
        print(f"{told}, at most {args.queue:g} wait; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print(json.dumps(queue.report()), file=sys.stderr)
    return 0


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
