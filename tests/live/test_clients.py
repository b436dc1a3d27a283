"""HTTP clients against a small server: what they raise and return is seen, and pacing laws
react.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

import tpssim
from tpssim import Limiter, Quota, arun, athrottle, run
from tpssim.core.clocks import VirtualClock
from tpssim.core.types import OUTCOMES, REFUSALS
from tpssim.live.clients.for_aiohttp import throttled
from tpssim.live.clients.for_httpx import AsyncThrottledTransport, ThrottledTransport
from tpssim.live.clients.for_requests import ThrottledAdapter
from tpssim.live.outcomes import Outcome, Rejected, outcome_of
from tpssim.live.permits import Permit

#: For what is answered, however busy the machine is, and for what is not, s.
PATIENT, SHORT = 60.0, 0.2


class Server(ThreadingHTTPServer):
    """Answers by the path: /200, /429 and the like; /slow does not answer, /half stops in the
    body, /asked is a 429 that says when to come back.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.over = threading.Event()
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no matter."""


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        path = self.path[1:]
        if path == "slow":
            self.server.over.wait(PATIENT)
        self.send_response(int(path) if path.isdigit() else 429 if path == "asked" else 200)
        if path == "asked":
            self.send_header("Retry-After", "2")
        if path == "302":
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"ab")
        if path == "half":
            self.wfile.flush()
            self.server.over.wait(PATIENT)
        self.wfile.write(b"cd")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def deaf() -> Iterator[str]:
    """A URL whose port takes no more connections: the queue of the system is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


Call = Callable[[str, float], Any]


@contextlib.contextmanager
def by_requests() -> Iterator[Call]:
    with requests.Session() as session:

        def call(url: str, timeout: float) -> requests.Response:
            response = session.get(url, timeout=timeout)
            response.raise_for_status()
            return response

        yield call


@contextlib.contextmanager
def by_urllib3() -> Iterator[Call]:
    with urllib3.PoolManager(retries=False) as pool:
        # which raises for no status
        yield lambda url, timeout: pool.request("GET", url, timeout=timeout)


@contextlib.contextmanager
def by_httpx() -> Iterator[Call]:
    with httpx.Client(trust_env=False) as client:
        yield lambda url, timeout: client.get(url, timeout=timeout).raise_for_status()


CLIENTS = {"requests": by_requests, "urllib3": by_urllib3, "httpx": by_httpx}


async def by_aiohttp(
    make: Callable[[Callable[[str, float], Awaitable[Any]]], Awaitable[Any]],
) -> Any:
    async with aiohttp.ClientSession() as session:

        async def call(url: str, timeout: float) -> None:
            times = aiohttp.ClientTimeout(sock_read=timeout, sock_connect=timeout)
            async with session.get(url, timeout=times) as response:
                response.raise_for_status()
                await response.read()

        return await make(call)


def outcomes(recording: Path) -> list[str]:
    """Of the calls of a recording, in their order."""
    events = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    ends = {event["call"]: OUTCOMES[event["outcome"]] for event in events if event["e"] == "end"}
    return [ends[call] for call in sorted(ends)]


@pytest.mark.skipif(
    sys.platform != "linux", reason="how a full queue of connections behaves is Linux's"
)
@pytest.mark.parametrize("client", [*CLIENTS, "aiohttp"])
def test_a_recording_shows_refusals_and_timeouts(
    client: str, server: Server, deaf: str, tmp_path: Path
) -> None:
    kinds = [
        (f"{server.url}/200", PATIENT, "ok"),
        (f"{server.url}/429", PATIENT, "rejected by the service"),
        (f"{server.url}/503", PATIENT, "rejected by the service"),
        (f"{server.url}/500", PATIENT, "failed"),
        (f"{server.url}/slow", SHORT, "timed out"),
        (f"{server.url}/half", SHORT, "timed out"),
        (deaf, SHORT, "timed out"),
        ("http://127.0.0.1:1/", PATIENT, "failed"),  # refused by the system, not by the service
    ]
    record = tmp_path / "run.ndjson"
    if client == "aiohttp":

        async def make(call: Callable[[str, float], Awaitable[Any]]) -> Any:
            return await arun(lambda kind: call(*kind[:2]), kinds, 1000.0, record=record)

        done = asyncio.run(by_aiohttp(make))
    else:
        with CLIENTS[client]() as call:
            done = run(lambda kind: call(*kind[:2]), kinds, 1000.0, workers=8, record=record)
    assert outcomes(record) == [said for _, _, said in kinds]
    report = done.report
    assert (report.ok, report.errors, report.refused_by_service, report.timed_out) == (1, 7, 2, 3)


@pytest.mark.parametrize("client", [*CLIENTS, "aiohttp"])
def test_what_a_service_asks_for_is_read_and_holds_the_next_call_back(
    client: str, server: Server
) -> None:
    seen: list[Any] = []
    limiter = Limiter(20.0, clock=VirtualClock())
    permit = limiter.acquire()

    def note(answer: Any) -> None:
        seen.append(outcome_of(answer))
        permit.see(answer)

    if client == "aiohttp":

        async def make(call: Callable[[str, float], Awaitable[Any]]) -> None:
            try:
                await call(f"{server.url}/asked", PATIENT)
            except aiohttp.ClientError as error:
                note(error)

        asyncio.run(by_aiohttp(make))
    else:
        with CLIENTS[client]() as call:
            try:
                note(call(f"{server.url}/asked", PATIENT))
            except Exception as error:
                note(error)
    assert seen == [Outcome(3, 2.0)]
    assert limiter.acquire().released == 2.0
    assert limiter.report().retry_after_held == 1


@pytest.mark.parametrize("client", [*CLIENTS, "aiohttp"])
def test_auto_slows_down_when_it_is_refused(client: str, server: Server) -> None:
    """Every answer is a 429, one call at a time: the rate falls, whichever client is used."""
    url, most = f"{server.url}/429", 200
    if client == "aiohttp":

        async def make(call: Callable[[str, float], Awaitable[Any]]) -> int:
            handle = athrottle(itertools.repeat(url), 20.0, most, controller="auto")
            async for _ in handle:
                try:
                    await call(url, PATIENT)
                except aiohttp.ClientError as error:
                    handle.see(error)
                if handle.flow.glimpse()[0]["rate"] < 19.0:
                    break
            return int(handle.report().released)

        made = asyncio.run(by_aiohttp(make))
    else:
        handles: list[Any] = []
        with CLIENTS[client]() as call:

            def looking(_: int) -> Any:
                if handles[0].flow.glimpse()[0]["rate"] < 19.0:
                    handles[0].stop()
                return call(url, PATIENT)

            options: dict[str, Any] = {"controller": "auto", "started": handles.append}
            made = int(run(looking, range(most), 20.0, workers=0, **options).report.released)
    assert 0 < made < most


def by_status(client: str, status: int) -> Any:
    """What a client returns, or raises, at this status."""
    if client == "urllib3":
        return urllib3.HTTPResponse(status=status)
    if client == "aiohttp":
        if status >= 400:
            about: Any = SimpleNamespace(real_url="u")
            raise aiohttp.ClientResponseError(about, (), status=status)
        return None
    if client == "httpx":
        return httpx.Response(
            status, request=httpx.Request("GET", "http://localhost/")
        ).raise_for_status()
    response = requests.Response()
    response.status_code = status
    response.raise_for_status()
    return response


@pytest.mark.parametrize("client", [*CLIENTS, "aiohttp"])
def test_a_run_that_is_refused_slows_down(client: str) -> None:
    """A service of 11.2 calls a second is asked for 20 in virtual time: 44 % would be refused."""
    clock = VirtualClock()
    free = 0.0

    async def call(_: int) -> Any:
        nonlocal free
        status = 429
        if clock.time() >= free:
            status, free = 200, max(free, clock.time() - 0.5) + 1.0 / 11.2
        return by_status(client, status)

    def refused(controller: str) -> float:
        nonlocal free
        clock.set(0.0)
        free = 0.0
        options: dict[str, Any] = {"controller": controller, "clock": clock}
        report = asyncio.run(arun(call, range(1000), 20.0, **options)).report
        return report.drops / report.released

    assert refused("fixed") == pytest.approx(0.44, abs=0.01)
    assert refused("auto") < 0.2


class Slots(Limiter):
    """A limiter that remembers the permits that it gave."""

    def __init__(self) -> None:
        super().__init__(1000.0)
        self.given: list[Permit] = []

    def acquire(self, timeout: float | None = None, *, cost: float = 1.0) -> Permit:
        self.given.append(super().acquire(timeout, cost=cost))
        return self.given[-1]

    async def aacquire(self, timeout: float | None = None, *, cost: float = 1.0) -> Permit:
        self.given.append(await super().aacquire(timeout, cost=cost))
        return self.given[-1]

    def outcomes(self) -> list[str]:
        return [OUTCOMES[permit.outcome.code] if permit.outcome else "" for permit in self.given]


class Costs(Limiter):
    """A limiter that remembers what calls cost."""

    def __init__(self) -> None:
        super().__init__(1000.0)
        self.costs: list[float] = []

    async def aacquire(self, timeout: float | None = None, *, cost: float = 1.0) -> Permit:
        self.costs.append(cost)
        return await super().aacquire(timeout, cost=cost)


PATHS = {"200": "ok", "429": "rejected by the service", "500": "failed", "slow": "timed out"}
SAID = [*PATHS.values(), "timed out"]


def wait_for(path: str) -> float:
    return SHORT if path in ("slow", "half") else PATIENT


def test_the_adapter_for_requests(server: Server) -> None:
    slots = Slots()
    with requests.Session() as session:
        session.mount("http://", ThrottledAdapter(slots, pool_maxsize=2))
        for path in (*PATHS, "half"):
            with contextlib.suppress(requests.RequestException):
                assert (
                    session.get(f"{server.url}/{path}", timeout=wait_for(path)).content == b"abcd"
                )
        assert slots.outcomes() == SAID
        assert session.get(f"{server.url}/302", timeout=PATIENT).status_code == 200
        assert slots.outcomes() == [*SAID, "ok", "ok"]  # the redirect is a call
        with session.get(f"{server.url}/429", timeout=PATIENT, stream=True) as response:
            assert slots.outcomes()[-1] == "rejected by the service"
            assert response.content == b"abcd"
        session.get(f"{server.url}/asked", timeout=PATIENT)
    assert slots.given[-1].outcome == Outcome(3, 2.0)
    assert slots.report().in_flight == 0


def test_the_transport_for_httpx(server: Server) -> None:
    slots = Slots()
    with httpx.Client(transport=ThrottledTransport(slots)) as client:
        for path in (*PATHS, "half"):
            with contextlib.suppress(httpx.HTTPError):
                assert client.get(f"{server.url}/{path}", timeout=wait_for(path)).content == b"abcd"
        assert slots.outcomes() == SAID
        with client.stream("GET", f"{server.url}/200", timeout=PATIENT) as response:
            assert slots.outcomes()[-1] == ""  # until its body is read
            assert next(response.iter_raw(1)) == b"a"
        assert slots.outcomes()[-1] == "ok"
    given = httpx.MockTransport(lambda _: httpx.Response(503, text="with its body"))
    with httpx.Client(transport=ThrottledTransport(slots, given)) as client:
        assert client.get("http://localhost/").text == "with its body"
    assert slots.outcomes()[-1] == "rejected by the service"
    assert slots.report().in_flight == 0


def test_the_asynchronous_transport_for_httpx(server: Server) -> None:
    async def main() -> None:
        slots = Slots()
        async with httpx.AsyncClient(transport=AsyncThrottledTransport(slots)) as client:
            for path in (*PATHS, "half"):
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.get(f"{server.url}/{path}", timeout=wait_for(path))
                    assert answer.content == b"abcd"
            assert slots.outcomes() == SAID
            task = asyncio.create_task(client.get(f"{server.url}/half", timeout=PATIENT))
            while server.asked < 6:
                await asyncio.sleep(0.01)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert slots.outcomes()[-1] == "unfinished"
        given = httpx.MockTransport(lambda _: httpx.Response(503, text="with its body"))
        async with httpx.AsyncClient(transport=AsyncThrottledTransport(slots, given)) as client:
            assert (await client.get("http://localhost/")).text == "with its body"
        assert slots.outcomes()[-1] == "rejected by the service"
        assert slots.report().in_flight == 0

    asyncio.run(main())


def test_the_middleware_for_aiohttp(server: Server) -> None:
    async def main() -> None:
        slots = Slots()
        async with aiohttp.ClientSession(middlewares=(throttled(slots),)) as session:
            for path in PATHS:
                times = aiohttp.ClientTimeout(sock_read=wait_for(path))
                with contextlib.suppress(TimeoutError):
                    async with session.get(f"{server.url}/{path}", timeout=times) as response:
                        assert await response.read() == b"abcd"
            assert slots.outcomes() == list(PATHS.values())
            async with session.get(f"{server.url}/302") as response:
                assert response.status == 200
            assert slots.outcomes()[-2:] == ["ok", "ok"]
        assert slots.report().in_flight == 0

    asyncio.run(main())


def test_a_request_costs_what_its_function_says(server: Server) -> None:
    """A request costs the length of its path: 4, of a quota of 10 in a minute."""
    quotas = [Quota(10.0, per=60.0, of="cost", margin=0.0)]

    def limiter() -> Limiter:
        return Limiter(math.inf, quotas=quotas, clock=VirtualClock())

    def twice(get: Callable[[str], Any], limiter: Limiter) -> None:
        get(f"{server.url}/200")
        get(f"{server.url}/200")
        assert limiter.flow.timing.now() == 0.0
        get(f"{server.url}/200")
        assert limiter.flow.timing.now() == pytest.approx(60.0)

    first = limiter()
    with requests.Session() as session:
        session.mount("http://", ThrottledAdapter(first, cost=lambda one: len(one.path_url)))
        twice(session.get, first)
    second = limiter()
    transport = ThrottledTransport(second, cost=lambda request: len(request.url.path))
    with httpx.Client(transport=transport) as client:
        twice(client.get, second)

    async def main() -> None:
        third, fourth = Costs(), Costs()
        transport = AsyncThrottledTransport(third, cost=lambda request: len(request.url.path))
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(f"{server.url}/200")
        paced = throttled(fourth, cost=lambda request: len(request.url.path))
        async with (
            aiohttp.ClientSession(middlewares=(paced,)) as session,
            session.get(f"{server.url}/200") as response,
        ):
            assert response.status == 200
        assert third.costs == fourth.costs == [4.0]

    asyncio.run(main())


def test_the_command_line_takes_the_same_answers_for_refusals() -> None:
    from tpssim.live.callees.requests import Request, checked_status, prepared

    for status in REFUSALS:
        with pytest.raises(Rejected, match=f"HTTP {status}"):
            checked_status(prepared(Request("http://localhost/")), status, None, None)


def test_no_client_is_loaded_by_a_run() -> None:
    import subprocess

    code = (
        "import sys, tpssim\n"
        "tpssim.run(abs, range(5), tps=1000.0, retries=2)\n"
        "print(*{'requests', 'urllib3', 'httpx', 'aiohttp', 'tenacity'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert tpssim.run is run
