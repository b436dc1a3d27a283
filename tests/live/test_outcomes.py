"""What came of a call, by the exceptions and responses of the clients that people use."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import email.message
import enum
import errno
import http
import socket
import subprocess
import urllib.error
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import botocore.exceptions
import httpx
import pytest
import requests
import urllib3

import tpssim
from tpssim import InputError, Rejected, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.live.outcomes import Outcome, outcome_of

REQUEST = httpx.Request("GET", "http://localhost/")


def like(name: str, *bases: type, module: str, **attributes: Any) -> Any:
    """An exception that looks as the original does, of a library that is not installed here."""
    kind = type(name, bases or (Exception,), {"__module__": module, **attributes})
    return kind("text") if issubclass(kind, BaseException) else kind


def answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update({key.replace("_", "-"): value for key, value in headers.items()})
    return response


def raised(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def aiohttp_error(status: int) -> aiohttp.ClientResponseError:
    about: Any = SimpleNamespace(real_url="u")
    return aiohttp.ClientResponseError(about, (), status=status)


def aws(code: str, status: int) -> Any:
    answer = {
        "Error": {"Code": code, "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(answer, "Operation")


class Code(enum.Enum):
    """As grpc.StatusCode: the values are pairs."""

    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    UNAVAILABLE = (14, "unavailable")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")


def grpc_error(code: Code) -> Any:
    rpc = type("RpcError", (Exception,), {"__module__": "grpc"})
    return like("_InactiveRpcError", rpc, module="grpc._channel", code=lambda _: code)


def api_error(name: str, **attributes: Any) -> Any:
    """As openai, anthropic and the clients made by the same generator have them."""
    base = type("APIError", (Exception,), {"__module__": "openai", "code": "a_word"})
    return like(name, base, module="openai", **attributes)


def system_error() -> aiohttp.ClientConnectorError:
    key: Any = SimpleNamespace(host="h", port=1, ssl=True, is_ssl=False)
    return aiohttp.ClientConnectorError(key, OSError(errno.ETIMEDOUT, "timed out"))


POOL: Any = None
MANY = urllib3.exceptions.ResponseError("too many 429 error responses")
BROKEN = urllib3.exceptions.ResponseError("too many 500 error responses")

ERRORS: list[tuple[Any, int]] = [
    # by status
    (raised(answer(429).raise_for_status), REJECTED),
    (raised(answer(503).raise_for_status), REJECTED),
    (raised(answer(500).raise_for_status), FAILED),
    (raised(answer(404).raise_for_status), FAILED),
    (raised(httpx.Response(429, request=REQUEST).raise_for_status), REJECTED),
    (raised(httpx.Response(502, request=REQUEST).raise_for_status), FAILED),
    (aiohttp_error(429), REJECTED),
    (aiohttp_error(400), FAILED),
    (urllib.error.HTTPError("u", 429, "m", email.message.Message(), None), REJECTED),
    (urllib.error.HTTPError("u", 404, "m", email.message.Message(), None), FAILED),
    (requests.exceptions.RetryError(urllib3.exceptions.MaxRetryError(POOL, "/", MANY)), REJECTED),
    (urllib3.exceptions.MaxRetryError(POOL, "/", MANY), REJECTED),
    (urllib3.exceptions.MaxRetryError(POOL, "/", BROKEN), FAILED),
    (aws("ThrottlingException", 400), REJECTED),
    (aws("SlowDown", 503), REJECTED),
    (aws("RequestTimeout", 400), TIMED_OUT),
    (aws("ValidationException", 400), FAILED),
    (grpc_error(Code.RESOURCE_EXHAUSTED), REJECTED),
    (grpc_error(Code.UNAVAILABLE), REJECTED),
    (grpc_error(Code.DEADLINE_EXCEEDED), TIMED_OUT),
    (grpc_error(Code.NOT_FOUND), FAILED),
    (like("GRPCError", module="grpclib.exceptions", status=Code.RESOURCE_EXHAUSTED), REJECTED),
    (
        like("TooManyRequests", module="google.api_core.exceptions", code=http.HTTPStatus(429)),
        REJECTED,
    ),
    (
        like(
            "DeadlineExceeded",
            module="google.api_core.exceptions",
            code=http.HTTPStatus(504),
            grpc_status_code=Code.DEADLINE_EXCEEDED,
        ),
        TIMED_OUT,
    ),
    (api_error("RateLimitError", status_code=429, response=httpx.Response(429)), REJECTED),
    (api_error("InternalServerError", status_code=529), REJECTED),
    (api_error("BadRequestError", status_code=400), FAILED),
    (Rejected("429"), REJECTED),
    # by class
    (TimeoutError(), TIMED_OUT),
    (socket.timeout(), TIMED_OUT),  # noqa: UP041
    (asyncio.TimeoutError(), TIMED_OUT),  # noqa: UP041
    (concurrent.futures.TimeoutError(), TIMED_OUT),
    (subprocess.TimeoutExpired("sleep", 1.0), TIMED_OUT),
    (requests.ReadTimeout(), TIMED_OUT),
    (requests.ConnectTimeout(), TIMED_OUT),
    (urllib3.exceptions.ReadTimeoutError(POOL, "/", "m"), TIMED_OUT),
    (urllib3.exceptions.ConnectTimeoutError(), TIMED_OUT),
    (httpx.ReadTimeout("m"), TIMED_OUT),
    (httpx.ConnectTimeout("m"), TIMED_OUT),
    (httpx.PoolTimeout("m"), TIMED_OUT),
    (aiohttp.ServerTimeoutError(), TIMED_OUT),
    (aiohttp.ConnectionTimeoutError(), TIMED_OUT),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="u"), TIMED_OUT),
    (botocore.exceptions.ConnectTimeoutError(endpoint_url="u"), TIMED_OUT),
    (api_error("APITimeoutError"), TIMED_OUT),
    (like("TimeoutError", module="redis.exceptions"), TIMED_OUT),
    (OSError(errno.ETIMEDOUT, "connection timed out"), TIMED_OUT),
    (system_error(), TIMED_OUT),
    # those that carry another
    (urllib.error.URLError(TimeoutError("timed out")), TIMED_OUT),
    (urllib.error.URLError(ConnectionRefusedError(111, "refused")), FAILED),
    (
        urllib3.exceptions.MaxRetryError(
            POOL, "/", urllib3.exceptions.ReadTimeoutError(POOL, "/", "")
        ),
        TIMED_OUT,
    ),
    (
        requests.ConnectionError(urllib3.exceptions.ReadTimeoutError(POOL, "/", "in the body")),
        TIMED_OUT,
    ),
    (ExceptionGroup("several", [ValueError(), TimeoutError(), Rejected()]), REJECTED),
    (ExceptionGroup("several", [ValueError(), TimeoutError()]), TIMED_OUT),
    # neither
    (urllib3.exceptions.NewConnectionError(POOL, "refused"), FAILED),
    (requests.ConnectionError("refused"), FAILED),
    (httpx.ConnectError("refused"), FAILED),
    (aiohttp.ClientPayloadError(), FAILED),
    (api_error("APIConnectionError"), FAILED),
    (ValueError(429), FAILED),
    (ConnectionResetError(104, "reset"), FAILED),
    # it says nothing about the service
    (KeyboardInterrupt(), UNFINISHED),
    (SystemExit(429), UNFINISHED),
    (asyncio.CancelledError(), UNFINISHED),
    (concurrent.futures.CancelledError(), UNFINISHED),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_what_an_exception_says(error: BaseException, code: int) -> None:
    assert outcome_of(error).code == code


def test_a_failure_from_a_timeout_is_a_failure() -> None:
    """The client that raised it knew of the timeout, and meant something else."""
    error = ValueError("no answer in the cache either")
    error.__cause__ = TimeoutError()
    assert outcome_of(error).code == FAILED


def test_what_retried_by_itself_says_what_the_last_attempt_said() -> None:
    """As tenacity: a RetryError from the last exception."""
    error = like("RetryError", module="tenacity")
    error.__cause__ = raised(answer(429, Retry_After="7").raise_for_status)
    assert outcome_of(error) == Outcome(REJECTED, 7.0)


class Lazy:
    """An object that answers anything, as mocks and lazy proxies do."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} is not loaded")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (answer(200), OK),
        (answer(302), OK),
        (answer(429), REJECTED),
        (answer(503), REJECTED),
        (answer(500), FAILED),
        (httpx.Response(429), REJECTED),
        (urllib3.HTTPResponse(status=429), REJECTED),
        (urllib3.HTTPResponse(status=200), OK),
        ({"ResponseMetadata": {"HTTPStatusCode": 503}}, REJECTED),
        # no responses
        (None, OK),
        (429, OK),
        ("429", OK),
        ({"status": 429}, OK),
        (SimpleNamespace(status=503), OK),  # an order that is at step 503
        (SimpleNamespace(status="failed", headers={}), OK),
        (SimpleNamespace(status=True, headers={}), OK),
        (SimpleNamespace(status=4290, headers={}), OK),
        (Lazy(), OK),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_returned_value_says(value: Any, code: int) -> None:
    assert outcome_of(value).code == code


DATED = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry_After": "Wed, 21 Oct 2015 07:29:30 GMT"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (answer(429, Retry_After="120"), 120.0),
        (answer(429, retry_after="1.5"), 1.5),
        (answer(429, **DATED), 90.0),
        (answer(429, Date="Wed, 21 Oct 2015 07:30:00 GMT", Retry_After=DATED["Retry_After"]), 0.0),
        (answer(429, Retry_After="soon"), None),
        (answer(429, Retry_After="-3"), None),
        (answer(429, Retry_After="nan"), None),
        (answer(429, Retry_After="9" * 400), None),
        (answer(429), None),
        (raised(answer(503, Retry_After="5").raise_for_status), 5.0),
        (httpx.Response(429, headers={"retry-after": "6"}), 6.0),
        (
            raised(
                httpx.Response(429, headers={"RETRY-AFTER": "6"}, request=REQUEST).raise_for_status
            ),
            6.0,
        ),
        (urllib3.HTTPResponse(status=429, headers={"Retry-After": "7"}), 7.0),
        (Rejected("429", retry_after=8.0), 8.0),
        (ExceptionGroup("both", [Rejected(retry_after=8.0), Rejected(retry_after=9.0)]), 9.0),
    ],
)
def test_when_the_service_wants_to_see_the_caller_again(given: Any, seconds: float | None) -> None:
    assert outcome_of(given) == Outcome(REJECTED, seconds)


def test_a_date_without_the_answers_own_is_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1445412480.0)  # 07:28:00
    assert outcome_of(answer(429, Retry_After=DATED["Retry_After"])).retry_after == 90.0


def test_retry_after_of_other_clients() -> None:
    headers: Any = {"Retry-After": "3"}
    error = aiohttp_error(429)
    error.headers = headers
    assert outcome_of(error).retry_after == 3.0
    message = email.message.Message()
    message["Retry-After"] = "4"
    assert outcome_of(urllib.error.HTTPError("u", 503, "m", message, None)).retry_after == 4.0
    error = aws("Throttling", 400)
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": "5"}
    assert outcome_of(error) == Outcome(REJECTED, 5.0)


@pytest.mark.parametrize("wait", [-1.0, float("inf"), float("nan"), "3", True])
def test_bad_waits(wait: Any) -> None:
    with pytest.raises(InputError, match=r"retry_after=.*; allowed: seconds"):
        Rejected("429", retry_after=wait)


def test_a_users_word_goes_first() -> None:
    words = {KeyError: "refused", OSError: "timed out", TimeoutError: "ok", ValueError: "failed"}
    for kind, code in (
        (KeyError, REJECTED),
        (OSError, TIMED_OUT),
        (TimeoutError, OK),
        (ValueError, FAILED),
    ):
        assert outcome_of(kind(), lambda error: words.get(type(error))).code == code
    assert outcome_of(TimeoutError(), lambda _: None).code == TIMED_OUT
    assert (
        outcome_of({"error": "busy"}, lambda x: "refused" if x.get("error") else None).code
        == REJECTED
    )
    assert outcome_of(SystemExit(), lambda _: "ok").code == UNFINISHED


@pytest.mark.parametrize("word", ["timeout", 3, ["ok"]])
def test_a_word_that_is_none_is_named_and_the_call_settled(word: Any) -> None:
    handle = throttle(range(1), 10.0, clock=VirtualClock(), classify=lambda _: word)
    for _, permit in handle.permits():
        with pytest.raises(InputError, match=r"classify answered .*; allowed: ok, failed, timed"):
            permit.see(answer(429))
    assert (handle.report().drops, handle.report().in_flight) == (1, 0)
    with pytest.raises(InputError, match="classify=3; allowed: a function"):
        throttle(range(1), 10.0, classify=3)  # type: ignore[arg-type]


def test_a_permit_settles_by_what_its_body_raised() -> None:
    errors: list[BaseException] = [
        raised(answer(429).raise_for_status),
        requests.ReadTimeout(),
        OSError(),
    ]
    handle = throttle(errors, 10.0, clock=VirtualClock())
    for error, permit in handle.permits():
        with pytest.raises(type(error)), permit:
            raise error
        assert permit.outcome is not None
    report = handle.report()
    assert (report.ok, report.errors, report.drops) == (0, 3, 2)


def test_a_permit_settles_by_a_response_or_a_word() -> None:
    handle = throttle(range(4), 10.0, clock=VirtualClock())
    (_, one), (_, two), (_, three), (_, four) = handle.permits()
    response = answer(429, Retry_After="3")
    with one:
        assert one.see(response) is response
    two.refused(retry_after=4.0)
    three.see(TimeoutError())
    four.see(answer(200))
    four.refused()  # too late
    assert [permit.outcome for permit in (one, two, three, four)] == [
        Outcome(REJECTED, 3.0),
        Outcome(REJECTED, 4.0),
        Outcome(TIMED_OUT),
        Outcome(OK),
    ]
    assert (handle.report().ok, handle.report().drops) == (1, 3)


@pytest.mark.parametrize(
    "error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
)
def test_what_ends_a_program_is_no_observation_and_goes_on(error: type[BaseException]) -> None:
    handle = throttle(range(1), 10.0, clock=VirtualClock())
    for _, permit in handle.permits():
        with pytest.raises(error), permit:
            raise error
    report = handle.report()
    assert (report.ok, report.errors, report.in_flight) == (0, 0, 0)


def test_the_body_of_a_plain_loop_says_what_came_of_its_call() -> None:
    handle = throttle([200, 429, 500, 0], 10.0, clock=VirtualClock(), controller="auto")
    for status in handle:
        if status:
            handle.see(answer(status))
        else:
            handle.see(requests.ReadTimeout())
    report = handle.report()
    assert (report.ok, report.errors, report.drops) == (1, 3, 2)
    with pytest.raises(InputError, match="see\\(\\) without an open call; allowed"):
        throttle(range(1), 10.0).see(answer(200))


@pytest.mark.parametrize(
    ("controller", "calls", "reported", "said"),
    [
        ("aimd-epoch", 30, 0, True),
        ("aimd-epoch", 30, 1, False),  # it knows how
        ("aimd-epoch", 10, 0, False),
        ("fixed", 30, 0, False),  # which would do nothing about it
        (None, 30, 0, False),
    ],
)
def test_a_loop_that_never_says_what_came_of_its_calls(
    controller: str | None, calls: int, reported: int, said: bool
) -> None:
    """A law that listens observes only what is taken for ok, and the report says so."""
    handle = throttle(range(calls), 10.0, clock=VirtualClock(), controller=controller)
    for item in handle:
        if item < reported:
            handle.see(answer(200))
    remark = "no outcome was reported, so aimd-epoch could see no refusal: pass responses to see()"
    assert (remark in handle.report().verdict) == said


@pytest.mark.parametrize(
    "how", ["with", "see", "done", "raise", "decorator", "fixed", "with permit"]
)
def test_a_with_that_never_says_what_came_of_its_calls(how: str) -> None:
    """What the body of one of thirty calls says, or raises, shows that its author knows how."""
    limiter = tpssim.Limiter(
        10.0, clock=VirtualClock(), controller="fixed" if how == "fixed" else "aimd-epoch"
    )
    call = limiter(answer)
    for k in range(30):
        if how == "decorator":
            call(200)
        elif how == "with permit":
            with limiter.acquire():
                answer(429)
        else:
            with contextlib.suppress(ZeroDivisionError), limiter as permit:
                if k == 7 and how == "see":
                    permit.see(answer(200))
                elif k == 7 and how == "done":
                    permit.done()
                elif k == 7 and how == "raise":
                    raise ZeroDivisionError
    remark = "no response was passed to see(): aimd-epoch cannot see a refusal that raises nothing"
    assert (remark in limiter.report().verdict) == how.startswith("with")
    assert "no outcome was reported" not in limiter.report().verdict


def test_permits_and_runs_report_outcomes() -> None:
    handle = throttle(range(30), 10.0, clock=VirtualClock(), controller="auto")
    for _, permit in handle.permits():
        permit.done()
    done = tpssim.run(abs, range(30), 10.0, workers=0, clock=VirtualClock(), controller="auto")
    for report in (handle.report(), done.report):
        assert "no outcome" not in report.verdict


def test_a_plain_asynchronous_loop_says_so_too() -> None:
    async def main() -> tuple[float, float]:
        handle = tpssim.athrottle([200, 429], 10.0, clock=VirtualClock())
        async for status in handle:
            handle.see(answer(status))
        return handle.report().ok, handle.report().drops

    assert asyncio.run(main()) == (1, 1)
