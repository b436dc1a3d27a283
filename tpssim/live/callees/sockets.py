"""Sockets of a call that has one deadline: each wait lasts at most until it.

The timeout of a client library limits each wait separately, so a service that sends a byte now and
then could keep a call open for ever. A blocking call runs in one thread from its beginning to its
end, so the deadline is stored for each thread.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

_call = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """After so long, the sockets below raise `TimeoutError` in this thread."""
    _call.due = time.monotonic() + seconds
    try:
        yield
    finally:
        _call.due = math.inf


def left() -> float | None:
    """Seconds until the deadline; None without one. Raises `TimeoutError` after it."""
    seconds: float = getattr(_call, "due", math.inf) - time.monotonic()
    if seconds <= 0.0:
        raise TimeoutError("the deadline of the call has passed")
    return None if seconds == math.inf else seconds


class Bounded(socket.socket):
    """A socket whose waits end at the deadline of the call."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(left())
        return super().recv_into(*args)

    def sendall(self, *args: Any) -> None:
        self.settimeout(left())
        super().sendall(*args)


class BoundedTLS(ssl.SSLSocket):
    """As `Bounded`, of an encrypted connection."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(left())
        return super().recv_into(*args)

    def send(self, *args: Any) -> int:  # which `sendall` calls for each part
        self.settimeout(left())
        return super().send(*args)


def connected(host: str, port: int) -> Bounded:
    """A connection to the first address of a host that accepts it."""
    failed: OSError = OSError(0, "no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = Bounded(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(left())
            sock.connect(place)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed


def trust() -> ssl.SSLContext:
    """The authorities that an encrypted connection trusts: the system's, or those of
    `SSL_CERT_FILE`.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
