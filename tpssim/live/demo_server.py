"""A service to try throttles on: an HTTP server with an exact capacity, a bounded queue and a
schedule.

`VirtualQueue` computes when each answer is due, and the threads of the server only wait for that.
So the error of one wait is not added to the next, and the capacity is exact. h11 reads the
requests.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_THREADS, checked_count

try:
    import h11
except ModuleNotFoundError as error:
    raise InputError(
        "serve needs h11, which is not installed; allowed: pip install 'tpssim[live]'"
    ) from error

MOST_HEAD = 32768  # bytes of a request line and its headers
MOST_BODY = 64 * 2**20  # bytes
PIECE = 65536  # bytes of a body that are in memory at once
PARTING = 1.0  # s

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
    """`servers` servers, first come first served, that serve `rate` answers per second; at most
    `places` requests wait.

    An answer to a request at `now` is due at `max(now, first free server) + servers / rate`. After
    a change of the rate, new requests take the new time; those that wait keep theirs.

    >>> queue = VirtualQueue(rate=4.0, servers=1, places=1)
    >>> [queue.due(0.0), queue.due(0.0), queue.due(0.0)]
    [0.25, 0.5, None]
    """

    def __init__(
        self,
        rate: float,
        servers: int = 1,
        places: float = math.inf,
        schedule: Sequence[Change] = (),
    ) -> None:
        for name, value in (("rate", rate), ("servers", servers)):
            if not 0.0 < value < math.inf:
                raise InputError(f"{name}={value:g} is out of range; allowed: (0, inf)")
        checked_count("servers", servers, 1, MOST_THREADS)
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
        """When a request that arrives now is answered; None if it is refused."""
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
        """From now on so many answers per second; the schedule is discarded."""
        if not 0.0 < rate < math.inf:
            raise InputError(f"rate={rate:g} is out of range; allowed: (0, inf)")
        with self._lock:
            self.rate = rate
            self.changes.clear()

    def report(self) -> dict[str, float]:
        """Its capacity, and what it has done so far."""
        with self._lock:
            return {
                "rate": self.rate,
                "servers": len(self.free_at),
                "answered": self.answered,
                "rejected": self.rejected,
            }


class _Closed(Exception):
    """The connection is over: its client has gone, or was too slow."""


class _Handler(socketserver.BaseRequestHandler):
    """One connection. `/` takes a server's time, `/report` shows the counts,
    `/rate?per_second=N` (PUT) sets the rate; everything else is not found. Bodies are read in
    pieces and discarded."""

    request: socket.socket
    server: Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)
        with contextlib.suppress(_Closed):
            while self._serve():
                self.connection.start_next_cycle()

    def _serve(self) -> bool:
        """Answer one request; whether another may follow."""
        asked = None
        try:
            asked = self._asked()
            answer = (
                (413, f"a body of at most {MOST_BODY:,} bytes")
                if asked is None
                else self._answer_to(asked)
            )
        except h11.RemoteProtocolError as error:
            asked = None
            answer = error.error_status_hint, f"{error}; allowed: requests as RFC 9112 has them"
        self._send(*answer, asked)
        return self.connection.our_state is self.connection.their_state is h11.DONE

    def _asked(self) -> h11.Request | None:
        """The next request, without its body; None if the body is too long."""
        request = self._event(time.monotonic() + self.server.idle)
        if isinstance(request, h11.ConnectionClosed):
            raise _Closed
        assert isinstance(request, h11.Request)
        if request.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("another version of HTTP", error_status_hint=505)
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:  # one of the two is wrong
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        if request.http_version < b"1.1" and b"transfer-encoding" in names:
            raise h11.RemoteProtocolError("Transfer-Encoding in HTTP/1.0")
        lengths = [int(value) for name, value in request.headers if name == b"content-length"]
        if max(lengths, default=0) > MOST_BODY:
            return None
        if self.connection.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))
        size, deadline = 0, time.monotonic() + self.server.whole
        while not isinstance(event := self._event(deadline), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            size += len(event.data)
            if size > MOST_BODY:
                return None
        return request

    def _event(self, deadline: float) -> Any:
        """The next event of the client; raises `_Closed` at the deadline. From the first byte of
        a request on, its head has the time of a whole request."""
        begun = False
        while (event := self.connection.next_event()) is h11.NEED_DATA:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise _Closed
            self.request.settimeout(left)
            try:
                data = self.request.recv(PIECE)
            except OSError:  # the client has gone, or time is up
                raise _Closed from None
            if not begun:
                begun, deadline = True, min(deadline, time.monotonic() + self.server.whole)
            self.connection.receive_data(data)
        return event

    def _answer_to(self, request: h11.Request) -> tuple[int, str]:
        """Status and text."""
        method = request.method.decode("ascii")
        try:
            target = urlsplit(request.target.decode("ascii"))
        except ValueError as error:
            raise h11.RemoteProtocolError("a target that is none") from error
        queue = self.server.queue
        if target.path == "/rate" and method == "PUT":
            try:
                (rate,) = (float(value) for value in parse_qs(target.query)["per_second"])
                queue.set_rate(rate)
            except (KeyError, ValueError):
                allowed = "PUT /rate?per_second=N, N in (0, inf)"
                return 400, f"{target.query[:60]!r} sets no rate; allowed: {allowed}"
            return 200, json.dumps(queue.report())
        if target.path not in ("/", "/report") or method == "PUT":
            return 404, "not found; there is /, /report and /rate?per_second=N (PUT)"
        if method not in ("GET", "HEAD", "POST"):
            return 501, "no such method; allowed: GET, HEAD, POST"
        if target.path == "/report":
            return 200, json.dumps(queue.report())
        if (due := queue.due(time.perf_counter())) is None:
            return 503, "the queue is full"
        time.sleep(max(0.0, due - time.perf_counter()))
        return 200, "done"

    def _send(self, status: int, text: str, asked: h11.Request | None) -> None:
        body = f"{text}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        if asked is None:
            headers.append(("Connection", "close"))  # the rest of this request is not another one
        answer = h11.Response(status_code=status, headers=headers)
        content = [] if asked is not None and asked.method == b"HEAD" else [h11.Data(data=body)]
        self._write(answer, *content, h11.EndOfMessage())
        if asked is None:
            self._part()

    def _write(self, *events: Any) -> None:
        """Send events in one packet."""
        self.request.settimeout(self.server.whole)
        try:
            self.request.sendall(b"".join(self.connection.send(event) or b"" for event in events))
        except OSError:
            raise _Closed from None

    def _part(self) -> None:
        """End a connection whose client may still be sending. If nobody read that, the answer
        could be lost with the connection, so for a moment it is read and discarded."""
        deadline = time.monotonic() + PARTING
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0.0:
                self.request.settimeout(left)
                if not self.request.recv(PIECE):
                    break
        raise _Closed


class Server(socketserver.ThreadingTCPServer):
    """The queue behind a port; port 0 takes a free one (see `server_port`).

    A connection without a request for `idle` seconds is closed. So is one whose request is not
    complete `whole` seconds after its first byte.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    idle = 90.0
    whole = 30.0

    def __init__(self, queue: VirtualQueue, host: str = "127.0.0.1", port: int = 0) -> None:
        self.queue = queue
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise InputError(
                f"{host}:{port} cannot be served: {error}; allowed: a free port"
            ) from error
        self.server_port: int = self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, but a missing thread for one more connection in one line only."""
        error = sys.exc_info()[1]
        if isinstance(error, RuntimeError) and "thread" in str(error):
            print(f"tpssim: a connection was closed: {error}", file=sys.stderr)
        elif not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)
