"""`tpssim serve` and requests as they should not be: each is answered as RFC 9112 has it, or cut
off.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tpssim.live.demo_queue import VirtualQueue
from tpssim.live.demo_server import MOST_BODY, Server

GET = b"GET /report HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
PUT = b"PUT /rate?per_second=250 HTTP/1.1\r\nHost: h\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def server(capfd: pytest.CaptureFixture[str]) -> Iterator[Server]:
    """One that says nothing on stderr, whatever it gets, and has no thread left at the end."""
    before = set(threading.enumerate())
    with Server(VirtualQueue(rate=100000.0, servers=1)) as serving:
        serving.idle = serving.whole = 60.0
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()
    deadline = time.monotonic() + 30.0
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    assert capfd.readouterr().err == ""


def talk(server: Server, *parts: bytes, end: bool = True) -> bytes:
    """All that the server says to some bytes, sent one after the other, until it closes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10.0) as connection:
        for part in parts:
            connection.sendall(part)
            if len(parts) > 1:
                time.sleep(0.01)
        if end:
            connection.shutdown(socket.SHUT_WR)
        said = b""
        while piece := connection.recv(65536):
            said += piece
        return said


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 (\d{3})", said, re.MULTILINE)]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + b"Content-Length: 99999999999999\r\n\r\n", 413),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
        (POST + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1), 413),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: +1\r\n\r\nx", 400),
        (POST + b"Content-Length: 0x1\r\n\r\nx", 400),
        (POST + "Content-Length: ١\r\n\r\nx".encode(), 400),
        (POST + b"Content-Length: 1, 2\r\n\r\nx", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (POST + b"Content-Length: 1\r\n" + CHUNKED + b"0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n", 501),
        (POST + CHUNKED + b"no number\r\nx\r\n", 400),
        (POST + CHUNKED + b"-1\r\nx\r\n", 400),
        (POST + CHUNKED + b"1\r\nxx\r\n0\r\n\r\n", 400),
        (POST + CHUNKED + b"f" * 25 + b"\r\n", 400),
        (POST.replace(b"1.1", b"1.0") + CHUNKED + b"0\r\n\r\n", 400),
        (POST.replace(b"1.1", b"2.0") + b"\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 3, 400),  # TLS
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 100_000, 431),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    ],
)
def test_what_cannot_be_read_is_refused(request_: bytes, status: int, server: Server) -> None:
    """With one answer, whatever comes behind it: nothing of a body is taken for the next
    request.
    """
    said = talk(server, request_ + PUT + b"\r\n", end=status in (404, 501))
    assert statuses(said)[0] == status
    if status not in (404,) and b"DELETE" not in request_:
        assert len(statuses(said)) == 1
        assert b"onnection: close" in said
        assert server.queue.report()["rate"] == 100000.0
    assert statuses(talk(server, GET)) == [200], "it serves on"


BODIES = {
    "a length": POST + b"Content-Length: %d\r\n\r\n" % len(PUT) + PUT,
    "the same length twice": POST + b"Content-Length: 1, 1\r\n\r\nx",
    "chunks": POST + CHUNKED + b"5\r\nhello\r\n%x\r\n" % len(PUT) + PUT + b"\r\n0\r\n\r\n",
    "chunks with extensions and trailers": (
        POST + CHUNKED + b'5;a="b"\r\nhello\r\n0\r\nA: b\r\n\r\n'
    ),
    "a body of a GET": b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "none": POST + b"\r\n",
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_is_skipped_to_its_end(kind: str, server: Server) -> None:
    """Three such requests and another behind them, at once and byte by byte."""
    body = BODIES[kind]
    for parts in (
        [body * 3 + GET],
        [body * 3 + GET[:9], GET[9:]],
        [body[k : k + 9] for k in range(0, 90, 9)],
    ):
        if len(parts) > 2:
            parts = [*parts, body[90:] + GET]
        said = talk(server, *parts)
        assert statuses(said) == [200] * (2 if len(parts) > 2 else 4)
        assert json.loads(said.rpartition(b"\r\n\r\n")[2])["rate"] == 100000.0


def test_a_long_body_takes_no_memory(server: Server) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    piece = b"x" * 2**20
    head = POST + b"Content-Length: %d\r\n\r\n" % MOST_BODY
    parts = [head, *[piece] * (MOST_BODY // len(piece))]
    assert statuses(talk(server, *parts)) == [200]
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_chunks_without_an_end_are_cut_off(server: Server) -> None:
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10.0) as connection:
        connection.sendall(POST + CHUNKED)
        try:
            for _ in range(MOST_BODY // 2**20 + 100):
                connection.sendall(chunk)
        except OSError:
            return  # it did not read all of that
        assert statuses(connection.recv(65536)) == [413]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b",
        POST + b"Content-Length: 10\r\n\r\nhello",
        POST + CHUNKED + b"5\r\nhel",
        POST + CHUNKED + b"5",
        GET,
        GET + b"GET",
    ],
)
def test_a_connection_on_which_nothing_comes_is_closed(said: bytes, server: Server) -> None:
    server.idle = server.whole = 0.2
    found = talk(server, said, end=False)  # the client keeps its end open
    assert statuses(found) == ([200] if said.startswith(GET) else [])


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: h\r\nA: ", POST + b"Content-Length: 1000000\r\n\r\n"]
)
def test_a_client_that_drips_is_cut_off(head: bytes, server: Server) -> None:
    """A byte now and then is no silence: what bounds it is the time for a whole request."""
    server.whole = 0.3
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10.0) as connection:
        connection.sendall(head)
        with contextlib.suppress(OSError):  # the pipe is broken, or the connection reset
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)


def test_a_client_that_goes_away_is_no_accident(server: Server) -> None:
    for part in (b"", b"GET / H", POST + b"Content-Length: 10\r\n\r\nhell", GET, GET * 100):
        connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=30.0)
        connection.sendall(part)
        # it closes with a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    assert statuses(talk(server, GET)) == [200]


def test_head_has_the_headers_and_no_body(server: Server) -> None:
    said = talk(server, GET.replace(b"GET /report", b"HEAD /") + GET)
    assert statuses(said) == [200, 200]
    first, second = said.split(b"HTTP/1.1")[1:]
    assert b"Content-Length: 5\r\n" in first
    assert first.endswith(b"\r\n\r\n")
    assert b'"rate": 100000.0' in second


def test_a_client_that_waits_for_100_continue_may_go_on(server: Server) -> None:
    ask = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert statuses(talk(server, ask, b"hello", GET)) == [100, 200, 200]
    too_long = POST + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"
    assert statuses(talk(server, too_long, end=False)) == [413], (
        "and one whose body is too long is not"
    )


def test_http_1_0_is_answered_and_closed(server: Server) -> None:
    said = talk(server, b"GET /report HTTP/1.0\r\n\r\n" + GET, end=False)
    assert statuses(said) == [200]
    assert b"onnection: close" in said


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    puts = b"".join(PUT.replace(b"250", b"%d" % k) + b"\r\n" for k in range(1, 51))
    said = talk(server, puts)
    assert re.findall(rb'"rate": (\d+)', said) == [b"%d" % k for k in range(1, 51)]


def test_connection_close_is_kept(server: Server) -> None:
    said = talk(server, GET.replace(b"Host: h", b"Host: h\r\nConnection: close") + GET, end=False)
    assert statuses(said) == [200]


def test_many_connections_at_once_leave_nothing(server: Server) -> None:
    open_ = [
        socket.create_connection(("127.0.0.1", server.server_port), timeout=30.0)
        for _ in range(200)
    ]
    for connection in open_:
        connection.sendall(GET)
    for connection in open_:
        assert statuses(connection.recv(65536)) == [200]
        connection.close()
