"""One HTTP call, for all clients: what is sent, what an answer means, how a failure is worded.

Our messages never quote those of the clients, which contain the whole URL.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin

from tpssim.core.errors import InputError
from tpssim.core.types import REFUSALS, VERSION, record
from tpssim.live.callees.addresses import Address, address
from tpssim.live.outcomes import Rejected, asked_wait

REDIRECTS = (301, 302, 303, 307, 308)
MISSING = "needs {}, which is not installed; allowed: pip install 'tpssim[live]'"
PIECE = 65536  # bytes of a body in memory at once
PLACES = 10  # targets of redirects that are counted separately
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FRAMING = ("content-length", "transfer-encoding")


class CallFailed(Exception):
    """A call that failed; the message says how."""


class Redirected(CallFailed):
    """The answer was a redirect, which is not followed."""


class Redirects:
    """Redirects, counted by status, host and path. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """One more."""
        with self._lock:
            if text not in self._counts and len(self._counts) >= PLACES:
                text = f"{text[:3]} to other places"
            self._counts[text] += 1

    def all(self) -> dict[str, int]:
        """The redirects, most frequent first."""
        return dict(self._counts.most_common())


@record
class Request(NamedTuple):
    """One HTTP call."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    data: str | None = None


@record
class Prepared(NamedTuple):
    """A request as every client sends it."""

    address: Address
    method: str
    headers: Mapping[str, str]
    body: bytes | None


def check_request(request: Request) -> Request:
    """The request, if it can be sent; raises `InputError`."""
    prepared(request)
    return request


def prepared(request: Request) -> Prepared:
    """A request, ready to be sent; raises `InputError`, whose line shows no value of a header."""
    where = address(request.url)
    if not _TOKEN.fullmatch(request.method):
        raise InputError(f"method {request.method[:20]!r}; allowed: a word, such as GET or POST")
    if request.method.upper() == "CONNECT":
        raise InputError("method 'CONNECT' asks a proxy; allowed: a method that asks for an answer")
    given: dict[str, str] = {}
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name):
            raise InputError(
                "a header's name is no word; allowed: 'NAME: VALUE', such as 'Accept: */*'"
            )
        if not value.isascii() or not all(c.isprintable() or c == "\t" for c in value):
            raise InputError(f"header {name!r} holds what no header may; allowed: printable ASCII")
        if name.lower() in FRAMING:
            raise InputError(f"header {name!r} follows from --data; allowed: other headers")
        if name.lower() in {seen.lower() for seen in given}:
            raise InputError(
                f"header {name!r} is given twice; allowed: once, values with a comma between"
            )
        given[name] = value
    if where.authorization and any(name.lower() == "authorization" for name in given):
        raise InputError(
            "credentials in the URL and a header 'Authorization'; allowed: one of the two"
        )
    ours = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"tpssim/{VERSION}"}
    if where.authorization:
        ours["Authorization"] = where.authorization
    headers = {
        name: value for name, value in ours.items() if name.lower() not in map(str.lower, given)
    }
    body = None if request.data is None else request.data.encode("utf-8", "surrogateescape")
    return Prepared(where, request.method.upper(), headers | given, body)


def checked_status(request: Prepared, status: int, headers: Any, seen: Redirects | None) -> None:
    """Raise an exception for the status of an answer, if it is no success.

    That of 429 and 503 has the seconds of the header Retry-After.

    A redirect is no success of a GET; for a POST, 302 and 303 are (Post, Redirect, Get).
    """
    if status in REFUSALS:
        wait = asked_wait(headers)
        raise Rejected(f"HTTP {status}{'' if wait is None else ' with Retry-After'}", wait)
    if status in REDIRECTS:
        answer = f"{status} to {_elsewhere(request.address, headers.get('Location'))}"
        if seen is not None:
            seen.add(answer)
        if status not in (302, 303) or request.method in ("GET", "HEAD"):
            raise Redirected(f"HTTP {answer}, which is not followed")
    if status >= 400:
        raise CallFailed(f"HTTP {status}")


def _elsewhere(asked: Address, location: str | None) -> str:
    """The host and path to which an answer redirects."""
    if location is None:
        return "nowhere"
    try:
        return address(urljoin(asked.sent, location)).shown
    except (InputError, ValueError):
        return "an address that cannot be read"


def failure(error: BaseException) -> str:
    """Why a client failed, without any part of the request.

    >>> failure(ConnectionRefusedError(111, "Connection refused"))
    'Connection refused'
    """
    found = list(causes(error))
    for cause in found:
        if message := getattr(cause, "verify_message", ""):
            return f"the certificate is not good: {message}"
        if isinstance(cause, ssl.SSLError) and (
            reason := getattr(cause, "reason", "")
        ):  # not all have one
            return f"no encrypted connection: {reason}"
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return cause.strerror
    for cause in found:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno)
    words = (_WORDS.get(type(cause).__name__, "") for cause in found)
    return next(filter(None, words), type(found[-1]).__name__)


#: The clients' names for the same error.
_WORDS = (
    dict.fromkeys(
        ("RemoteDisconnected", "ServerDisconnectedError"),
        "the service closed the connection without an answer",
    )
    | dict.fromkeys(("IncompleteRead", "ClientPayloadError"), "the answer broke off")
    | dict.fromkeys(
        ("BadStatusLine", "LineTooLong", "BadHttpMessage", "ClientResponseError", "HTTPException"),
        "the answer is no HTTP",
    )
)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: list[BaseException | None] = [error]
    while seen:
        cause = seen.pop(0)
        if cause is not None:
            yield cause
            inner = [arg for arg in cause.args if isinstance(arg, BaseException)]
            seen += [*inner, cause.__cause__ or cause.__context__]
