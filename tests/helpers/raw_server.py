"""A server of a test whose every byte the test decides, on a free port of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

#: What is done with one connection: it is closed afterwards, whatever happens.
Serve = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def raw_server(serve: Serve, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """Its port; `serve` gets each connection, in a thread of its own, and an event that is set at
    the end.
    """
    over = threading.Event()
    listening = socket.socket(family)
    listening.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    listening.listen(64)
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30.0)
            serve(connection, over)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(30.0)
        for thread in threads:
            thread.join(30.0)


def request_of(connection: socket.socket, before: bytes = b"") -> bytes:
    """The next request of a connection, its body included; b"" at the end."""
    data = before
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            missing = int(line.partition(b":")[2]) - len(body)
            while missing > 0:
                piece = connection.recv(65536)
                data, missing = data + piece, missing - len(piece)
    return data


def answering(answer: bytes, seen: list[bytes] | None = None) -> Serve:
    """Gives every request the same answer and keeps what was asked in `seen`."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while asked := request_of(connection):
            if seen is not None:
                seen.append(asked)
            connection.sendall(answer)

    return serve
