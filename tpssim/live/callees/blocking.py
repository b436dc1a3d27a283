"""HTTP calls that block, with urllib3."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable, Iterator
from typing import Any

from tpssim.core.errors import InputError
from tpssim.live.callees import sockets
from tpssim.live.callees.requests import (
    MISSING,
    PIECE,
    CallFailed,
    Prepared,
    Redirects,
    Request,
    causes,
    checked_status,
    failure,
    prepared,
)


@contextlib.contextmanager
def url(
    request: Request, timeout: float | None, connections: int, redirects: Redirects | None = None
) -> Iterator[Callable[[int], None]]:
    """Calls over kept connections; no redirects, no retries. `timeout` limits a call from its
    beginning to the last byte of its answer (None: no limit); the body is discarded as it
    arrives."""
    try:
        import urllib3
    except ModuleNotFoundError as error:
        raise InputError(f"--url {MISSING.format('urllib3')}") from error
    sent = prepared(request)
    pool = _pool(sent, connections)
    target = sent.address.path + sent.address.query
    seconds = math.inf if timeout is None else timeout

    def call(_: int) -> None:
        try:
            with sockets.within(seconds):
                answer = pool.urlopen(
                    sent.method,
                    target,
                    body=sent.body,
                    headers=sent.headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
                try:
                    while answer.read(PIECE, decode_content=False):
                        pass
                except BaseException:
                    answer.close()  # the rest of it is not the answer to the next call
                    raise
        except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
            if any(isinstance(cause, TimeoutError) for cause in causes(error)):
                raise TimeoutError(f"no whole answer within {seconds:g} s") from None
            raise CallFailed(failure(error)) from None
        checked_status(sent, answer.status, answer.headers, redirects)

    try:
        yield call
    finally:
        pool.close()


def _pool(sent: Prepared, connections: int) -> Any:
    """A pool of urllib3 whose connections keep the deadline of the call."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return sockets.connected(self._dns_host, self.port or 0)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return sockets.connected(self._dns_host, self.port or 0)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    where = sent.address
    host = f"[{where.host}]" if ":" in where.host else where.host
    kept: dict[str, Any] = {"maxsize": connections, "block": False, "timeout": None}
    if where.scheme == "http":
        return PlainPool(host, where.port, **kept)
    context = sockets.trust()
    context.sslsocket_class = sockets.BoundedTLS
    return EncryptedPool(host, where.port, ssl_context=context, cert_reqs="CERT_REQUIRED", **kept)
