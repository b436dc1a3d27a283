"""A service to try throttles on: an HTTP server with an exact capacity, a bounded queue and a
schedule, or the service of a scenario.

`VirtualQueue` (or `PlayedService`) computes when each answer is due, and the threads of the server
only wait for that. So the error of one wait is not added to the next. h11 reads the requests.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol, TextIO
from urllib.parse import parse_qs, urlsplit

from tpssim.core.errors import InputError
from tpssim.live.demo_quotas import DemoQuotas
from tpssim.scenarios.service_quotas import ServiceQuota

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
SAID = {200: "done", 429: "too many calls", 500: "the work failed", 503: "the queue is full"}


class Answers(Protocol):
    """What decides how each call is answered, and when."""

    def answer(self, now: float, cost: float) -> tuple[int, float, float]:
        """Status, when the answer is due (inf: never), and how long until the caller is to come
        back; calls come in the order of their times."""

    def set_rate(self, rate: float) -> None: ...  # or raises `InputError`
    def report(self) -> dict[str, float]: ...


class _Closed(Exception):
    """The connection is over: its client has gone, or was too slow."""


class _Handler(socketserver.BaseRequestHandler):
    """One connection. `/` and `/?cost=N` take a server's time, `/report` shows the counts,
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
                (413, f"a body of at most {MOST_BODY:,} bytes", 0.0)
                if asked is None
                else self._answer_to(asked)
            )
        except h11.RemoteProtocolError as error:
            asked = None
            allowed = "requests as RFC 9112 has them"
            answer = error.error_status_hint, f"{error}; allowed: {allowed}", 0.0
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

    def _answer_to(self, request: h11.Request) -> tuple[int, str, float]:
        """Status, text, and how long until the client is to come back, s; 0 if nothing is said."""
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
            except InputError as error:
                return 400, str(error), 0.0
            except (KeyError, ValueError):
                allowed = "PUT /rate?per_second=N, N in (0, inf)"
                return 400, f"{target.query[:60]!r} sets no rate; allowed: {allowed}", 0.0
            return 200, json.dumps(self.server.report()), 0.0
        if target.path not in ("/", "/report") or method == "PUT":
            return 404, "not found; there is /, /report and /rate?per_second=N (PUT)", 0.0
        if method not in ("GET", "HEAD", "POST"):
            return 501, "no such method; allowed: GET, HEAD, POST", 0.0
        if target.path == "/report":
            return 200, json.dumps(self.server.report()), 0.0
        cost = 1.0
        if target.query:
            try:
                (cost,) = (float(value) for value in parse_qs(target.query)["cost"])
            except (KeyError, ValueError):
                cost = math.nan
            if not 0.0 <= cost < math.inf:
                return (
                    400,
                    f"{target.query[:60]!r} is no cost; allowed: /?cost=N, N in [0, inf)",
                    0.0,
                )
        status, due, wait = self.server.arrived(cost)
        if due == math.inf:
            self._say_nothing()
        time.sleep(max(0.0, due - time.perf_counter()))
        return status, SAID[status], wait

    def _say_nothing(self) -> None:
        """Wait until the client has given up."""
        self.request.settimeout(self.server.idle)
        with contextlib.suppress(OSError):
            while self.request.recv(PIECE):
                pass
        raise _Closed

    def _send(self, status: int, text: str, wait: float, asked: h11.Request | None) -> None:
        body = f"{text}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        if 0.0 < wait < math.inf:  # whole seconds, RFC 9110, 10.2.3
            headers.append(("Retry-After", str(math.ceil(wait))))
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

    A call that has no room in one of `quotas` gets 429, and when to come back if the quota says so.
    `log` gets a line for each call, as it arrives: seconds since the first one, status, cost.

    A connection without a request for `idle` seconds is closed. So is one whose request is not
    complete `whole` seconds after its first byte.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    idle = 90.0
    whole = 30.0

    def __init__(
        self,
        queue: Answers,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        quotas: Sequence[ServiceQuota] = (),
        log: TextIO | None = None,
    ) -> None:
        self.queue = queue
        self.quotas = DemoQuotas(quotas)
        self._log = log
        self._arrivals = threading.Lock()
        self._first = math.inf
        if log is not None:
            log.write("seconds,status,cost\n")
        if not 0 <= port <= 65_535:
            raise InputError(f"port={port}; allowed: 0 (a free one) to 65535")
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise InputError(
                f"{host}:{port} cannot be served: {error}; allowed: an address of this machine and"
                " a free port"
            ) from error
        self.server_port: int = self.server_address[1]

    def arrived(self, cost: float) -> tuple[int, float, float]:
        """A call arrives: (status, when its answer is due, how long until it is to come back)."""
        with self._arrivals:
            now = time.perf_counter()
            refused = self.quotas.refusal(now, cost)
            answer = (429, now, refused) if refused is not None else self.queue.answer(now, cost)
            if self._log is not None:
                self._first = min(self._first, now)
                self._log.write(f"{now - self._first:.6f},{answer[0]},{cost:g}\n")
        return answer

    def report(self) -> dict[str, float]:
        """The queue's, and how many calls found no room in the quotas."""
        return {**self.queue.report(), "refused": self.quotas.refused}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, but a missing thread for one more connection in one line only."""
        error = sys.exc_info()[1]
        if isinstance(error, RuntimeError) and "thread" in str(error):
            print(f"tpssim: a connection was closed: {error}", file=sys.stderr)
        elif not isinstance(error, ConnectionError):
            super().handle_error(request, client_address)
