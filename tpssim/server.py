"""A consumer to try throttles on: an HTTP server with an exact capacity, a bounded queue and a schedule.

Standard library only. `VirtualQueue` decides when each answer is due; the threads of the server only wait for
that, so an error of one wait is never added to the next and the capacity is exact.
"""

from __future__ import annotations

import heapq
import json
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tpssim.core import InputError

#: (seconds after the first request, answers per second from then on)
Change = tuple[float, float]


def parse_schedule(text: str) -> list[Change]:
    """`10:200,30:800` as [(10.0, 200.0), (30.0, 800.0)]; raises `InputError`."""
    changes = []
    for part in text.split(","):
        at, colon, rate = part.partition(":")
        try:
            change = float(at), float(rate)
        except ValueError:
            change = math.nan, math.nan
        if not colon or not 0.0 <= change[0] < math.inf or not 0.0 < change[1] < math.inf:
            raise InputError(
                f"schedule {text!r}: {part!r} is not SECONDS:RATE; allowed: such as 10:200,30:800"
            )
        changes.append(change)
    if changes != sorted(changes):
        raise InputError(f"schedule {text!r} goes back in time; allowed: rising seconds")
    return changes


class VirtualQueue:
    """`servers` servers, first come first served, that bear `rate` answers per second; at most `places` wait.

    An answer to a request at `now` is due at `max(now, first free server) + servers / rate`. Once the rate
    changes, requests that come later take the new time; those that wait keep theirs.

    >>> queue = VirtualQueue(rate=4.0, servers=1, places=1)
    >>> [queue.due(0.0), queue.due(0.0), queue.due(0.0)]
    [0.25, 0.5, None]
    """

    def __init__(
        self, rate: float, servers: int = 1, places: float = math.inf, schedule: Sequence[Change] = ()
    ) -> None:
        for name, value in (("rate", rate), ("servers", servers)):
            if not 0.0 < value < math.inf:
                raise InputError(f"{name}={value:g} is out of range; allowed: (0, inf)")
        if not places >= 0.0:
            raise InputError(f"queue={places:g} is out of range; allowed: [0, inf]")
        self.rate = rate
        self.places = places
        self.free_at = [0.0] * servers
        self.changes = list(schedule)
        self.begins: deque[float] = deque()  # of those that wait
        self.first = math.nan
        self.answered = self.rejected = 0
        self._lock = threading.Lock()

    def due(self, now: float) -> float | None:
        """When a request that arrives now is answered; None if it is turned away."""
        with self._lock:
            if math.isnan(self.first):
                self.first = now
            while self.changes and self.changes[0][0] <= now - self.first:
                self.rate = self.changes.pop(0)[1]
            while self.begins and self.begins[0] <= now:
                self.begins.popleft()
            begin = max(now, self.free_at[0])
            if begin > now:
                if len(self.begins) >= self.places:
                    self.rejected += 1
                    return None
                self.begins.append(begin)
            self.answered += 1
            end = begin + len(self.free_at) / self.rate
            heapq.heapreplace(self.free_at, end)
            return end

    def set_rate(self, rate: float) -> None:
        """From now on that many answers per second; what was scheduled is forgotten."""
        if not 0.0 < rate < math.inf:
            raise InputError(f"rate={rate:g} is out of range; allowed: (0, inf)")
        with self._lock:
            self.rate = rate
            self.changes.clear()

    def report(self) -> dict[str, float]:
        """What it bears and what it has done so far."""
        with self._lock:
            return {
                "rate": self.rate,
                "servers": len(self.free_at),
                "answered": self.answered,
                "rejected": self.rejected,
            }


class _Handler(BaseHTTPRequestHandler):
    """`/` is worked on; `/report` tells, `/rate?per_second=N` (PUT) sets. Everything else is not found."""

    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one packet
    server: Server

    def _work(self) -> None:
        path = urlsplit(self.path).path
        if not self._read():
            return
        if path == "/report":
            self._answer(200, json.dumps(self.server.queue.report()))
        elif path != "/":
            self._not_found()
        elif (due := self.server.queue.due(time.perf_counter())) is None:
            self._answer(503, "the queue is full")
        else:
            time.sleep(max(0.0, due - time.perf_counter()))
            self._answer(200, "done")

    do_GET = do_POST = _work

    def do_PUT(self) -> None:
        asked = urlsplit(self.path)
        if not self._read():
            return
        if asked.path != "/rate":
            self._not_found()
            return
        try:
            (rate,) = (float(value) for value in parse_qs(asked.query)["per_second"])
            self.server.queue.set_rate(rate)
        except (KeyError, ValueError) as error:
            self._answer(400, f"{error}; allowed: PUT /rate?per_second=N")
        else:
            self._answer(200, json.dumps(self.server.queue.report()))

    def _read(self) -> bool:
        """Skip the body; False, and the connection ends with an answer, if nobody knows how long it is."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._answer(400, f"Content-Length {length!r}; allowed: a whole number >= 0")
            return False
        self.rfile.read(int(length))
        return True

    def _not_found(self) -> None:
        self._answer(404, "not found; there is /, /report and /rate?per_second=N (PUT)")

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """The queue behind a port; port 0 takes a free one (`server_port` tells which)."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, queue: VirtualQueue, host: str = "127.0.0.1", port: int = 0) -> None:
        self.queue = queue
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"{host}:{port} cannot be served: {error}; allowed: a free port") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of ours; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
