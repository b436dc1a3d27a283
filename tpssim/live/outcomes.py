"""The outcome of a call, from the exception that it raised or the response that it returned.

No client is imported: a refusal is recognised by its status, a timeout by the names of an
exception's classes. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REFUSALS, REJECTED, TIMED_OUT, UNFINISHED, record

#: The words of `classify`.
WORDS = {"ok": OK, "failed": FAILED, "timed out": TIMED_OUT, "refused": REJECTED}
#: The worst first: what a group of exceptions stands for.
_WORST = (REJECTED, TIMED_OUT, FAILED, UNFINISHED)

#: Exceptions with these names are timeouts, whichever library they come from: requests, urllib3,
#: httpx, botocore, subprocess, and clients generated as openai's is. The built-in one needs no
#: name.
TIMEOUTS = {
    "APITimeoutError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "ReadTimeout",
    "ReadTimeoutError",
    "Timeout",
    "TimeoutError",
    "TimeoutException",
    "TimeoutExpired",
}
#: In urllib3 a refused connection is a subclass of one that took too long.
NO_TIMEOUTS = {"NewConnectionError"}
#: Status names of gRPC.
GRPC = {"RESOURCE_EXHAUSTED": REJECTED, "UNAVAILABLE": REJECTED, "DEADLINE_EXCEEDED": TIMED_OUT}
#: Error codes of AWS that mean "too much", as botocore lists them, and those of a timeout.
AWS = {
    **dict.fromkeys(
        (
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "LimitExceededException",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "TransactionInProgressException",
        ),
        REJECTED,
    ),
    **dict.fromkeys(("RequestTimeout", "RequestTimeoutException"), TIMED_OUT),
}
#: How deep an exception may be wrapped in others.
DEEP = 8

#: A user's function: maps an exception or response to one of WORDS, or to None for the rule of this
#: module.
Classify = Callable[[Any], str | None]


@record
class Outcome(NamedTuple):
    """The outcome of a call."""

    code: int  #: OK, FAILED, TIMED_OUT, REJECTED or UNFINISHED, of `tpssim.core.types`
    retry_after: float | None = None  #: when the service asks the caller to come back, s from now


WELL = Outcome(OK)
#: Results of these types are not responses; most results are of one of them.
PLAIN = frozenset((type(None), bool, bytes, float, int, list, str, tuple))


class Rejected(Exception):
    """Raise it in a call that the service refused (429, 503): a sign of overload, and a drop in the
    law's observation.

    Needed only where the client's own exception does not say so. With `retry_after`, s, no call of
    the throttle is released before that time is over, retries included.

    >>> import tpssim
    >>> def call(item):
    ...     if item == 1:
    ...         raise tpssim.Rejected("429", retry_after=2.0)
    >>> report = tpssim.run(call, range(3), tps=1000.0).report
    >>> report.ok, report.drops
    (2, 1)
    """

    def __init__(self, message: object = "", retry_after: float | None = None) -> None:
        super().__init__(*([message] if message != "" else []))
        self.retry_after = checked_wait(retry_after)


def checked_wait(retry_after: float | None) -> float | None:
    """Seconds to wait, or None; raises `InputError`."""
    if retry_after is None:
        return None
    number = isinstance(retry_after, int | float) and not isinstance(retry_after, bool)
    if not number or not 0.0 <= retry_after < math.inf:
        raise InputError(f"retry_after={retry_after!r}; allowed: seconds in [0, inf), or None")
    return float(retry_after)


def checked_classify(classify: Classify | None) -> Classify | None:
    """The option `classify`; raises `InputError`."""
    if classify is not None and not callable(classify):
        raise InputError(
            f"classify={classify!r}; allowed: a function of an exception or response, or None"
        )
    return classify


def outcome_of(answer: Any, classify: Classify | None = None) -> Outcome:
    """The outcome of a call that raised this exception or returned this value.

    An exception is a refusal if its status is one of `REFUSALS` or similar, or a timeout, or else a
    failure. A cancelled future, and what is not an `Exception`, is no observation of the service.
    Among returned values only responses count: objects with headers and a whole number from 100 to
    599 as `status_code` or `status`, and the dicts of botocore. Below 400 they are ok. `classify`
    is asked first.

    >>> outcome_of(TimeoutError()), outcome_of({"status": 429})
    (Outcome(code=2, retry_after=None), Outcome(code=0, retry_after=None))
    """
    if classify is None and type(answer) in PLAIN:
        return WELL
    if classify is not None and not _ends_a_program(answer):
        word = classify(answer)
        if word is not None:
            if not isinstance(word, str) or word not in WORDS:
                raise InputError(
                    f"classify answered {word!r}; allowed: {', '.join(WORDS)}, or None"
                )
            return Outcome(WORDS[word], retry_after(answer) if word == "refused" else None)
    if not isinstance(answer, BaseException):
        return _of_response(answer)
    code = _of_error(answer)
    return Outcome(code, retry_after(answer) if code != UNFINISHED else None)


def _ends_a_program(answer: Any) -> bool:
    return isinstance(answer, BaseException) and not isinstance(answer, Exception)


def _of_response(answer: Any) -> Outcome:
    if isinstance(answer, Mapping):
        status = _aws(answer)[1]
    else:
        status = _status(answer, "status_code", "status")
        if status is not None and _get(answer, "headers") is None:
            return WELL  # a status of something else
    if status is None or status < 400:
        return WELL
    return Outcome(REJECTED if status in REFUSALS else FAILED, retry_after(answer))


def _of_error(error: BaseException, depth: int = 0) -> int:
    """Code of an exception; those that only carry another stand for that one."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if not isinstance(error, Exception) or "CancelledError" in names:
        return UNFINISHED
    if isinstance(error, Rejected):
        return REJECTED
    code = _by_status(error)
    if code is not None:
        return code
    if isinstance(error, TimeoutError) or (names & TIMEOUTS and not names & NO_TIMEOUTS):
        return TIMED_OUT
    if (
        isinstance(error, OSError) and error.errno == errno.ETIMEDOUT
    ):  # aiohttp's keep the system's number
        return TIMED_OUT
    if depth < DEEP:
        if isinstance(error, ExceptionGroup):
            codes = [_of_error(one, depth + 1) for one in error.exceptions]
            return min(codes, key=_WORST.index)
        inner = _inner(error, names)
        if inner is not None:
            return _of_error(inner, depth + 1)
    return FAILED


def _by_status(error: Exception) -> int | None:
    """Refused or timed out by what the service answered, or None."""
    for thing in (_get(error, "response"), error):
        if isinstance(thing, Mapping):
            word, status = _aws(thing)
            if word in AWS:
                return AWS[word]
        else:
            status = _status(thing, "status_code", "status", "code")
        if status in REFUSALS:
            return REJECTED
    for name in ("grpc_status_code", "status", "code"):
        value = _get(error, name)
        if callable(value) and any(
            kind.__module__.startswith("grpc") for kind in type(error).__mro__
        ):
            with contextlib.suppress(Exception):
                value = value()
        word = _get(value, "name")
        if isinstance(word, str) and word in GRPC:
            return GRPC[word]
    # What urllib3 says when its own retries gave up; requests carries it along.
    if type(error).__name__ == "ResponseError" and (
        said := re.search(r"too many (\d{3}) error", str(error))
    ):
        return REJECTED if int(said[1]) in REFUSALS else None
    return None


def _inner(error: Exception, names: set[str]) -> BaseException | None:
    """The exception in another's clothes: of urllib and urllib3, of requests, of what retries by
    itself.
    """
    inner: Any = None
    if names & {"MaxRetryError", "URLError"}:
        inner = _get(error, "reason")
    elif "RetryError" in names:
        inner = error.__cause__ or (error.args[0] if error.args else None)
    elif "ConnectionError" in names and error.args:
        inner = error.args[0]
    return inner if isinstance(inner, BaseException) else None


def _status(thing: Any, *names: str) -> int | None:
    for name in names:
        value = _get(thing, name)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
            return int(value)
    return None


def _aws(answer: Mapping[Any, Any]) -> tuple[str, int | None]:
    """(error code, HTTP status) of an answer as botocore gives it."""
    error, about = answer.get("Error"), answer.get("ResponseMetadata")
    word = error.get("Code") if isinstance(error, Mapping) else None
    status = about.get("HTTPStatusCode") if isinstance(about, Mapping) else None
    return word if isinstance(word, str) else "", status if isinstance(status, int) else None


def _get(thing: Any, name: str) -> Any:
    """An attribute, or None; also None if it is a property that raises."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def retry_after(answer: Any, depth: int = 0) -> float | None:
    """When to come back, in s from now, by an exception or a response: `Rejected`, or a Retry-After
    header.

    >>> retry_after(Rejected("429", retry_after=3.0))
    3.0
    """
    if isinstance(answer, Rejected):
        return answer.retry_after
    for thing in (answer, _get(answer, "response")):
        headers = _get(thing, "headers")
        if isinstance(thing, Mapping):
            about = thing.get("ResponseMetadata")
            headers = about.get("HTTPHeaders") if isinstance(about, Mapping) else None
        if _header(headers, "retry-after"):
            return asked_wait(headers)
    if not isinstance(answer, Exception) or depth >= DEEP:
        return None
    if isinstance(answer, ExceptionGroup):
        inner: tuple[Any, ...] = answer.exceptions
    else:
        inner = (_inner(answer, {kind.__name__ for kind in type(answer).__mro__}),)
    waits = [retry_after(one, depth + 1) for one in inner if one is not None]
    return max((wait for wait in waits if wait is not None), default=None)


def asked_wait(headers: Any) -> float | None:
    """The header Retry-After of an answer, in s from now; None if there is none that can be read.

    >>> asked_wait({"retry-after": "2"}), asked_wait({})
    (2.0, None)
    """
    text = _header(headers, "retry-after")
    return _seconds(text, _header(headers, "date")) if text else None


def _header(headers: Any, name: str) -> str:
    """A header's value, whatever its name's case; "" where there is none."""
    items = _get(headers, "items")
    if not callable(items):
        return ""
    for key, value in items():
        if isinstance(key, str) and key.lower() == name:
            return str(value).strip()
    return ""


def _seconds(text: str, sent: str) -> float | None:
    """Seconds, or an HTTP date, relative to the answer's own date if it has one."""
    try:
        seconds = float(text)
    except ValueError:
        until, since = _date(text), _date(sent)
        if until is None:
            return None
        seconds = max(until - (time.time() if since is None else since), 0.0)
    return seconds if 0.0 <= seconds < math.inf else None


def _date(text: str) -> float | None:
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
