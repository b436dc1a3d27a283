"""When a call is tried again: a number, a policy of ours, or one of tenacity's, which is not
imported.
"""

from __future__ import annotations

import inspect
import math
import random
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import OK, UNFINISHED, record
from tpssim.core.validation import checked, checked_count
from tpssim.live.outcomes import Outcome
from tpssim.scenarios.retries import RESERVE, Retry, affordable, deposited, drawn_wait

MOST_RETRIES = 1000


@record
class Attempt(NamedTuple):
    """A call that has ended, for the decision whether to try again."""

    item: Any
    number: int  #: 1 for the first call of the item
    began: float  #: when the first one began, s
    ended: float  #: when this one ended, s
    idle: float  #: total time spent waiting for retries, s
    waited: float  #: the wait before this one, s; 0 for the first
    outcome: Outcome
    result: Any
    error: BaseException | None


#: How long to wait before the next call, s; None: no other call.
Policy = Callable[[Attempt], float | None]


def policy_of(retries: Any, call: Callable[..., Any], seed: int = 0) -> Policy | None:
    """The option `retries` of `run` and `arun`; raises `InputError`. `seed`: of the draws of waits.

    >>> policy_of(None, abs) is None, policy_of(0, abs) is None
    (True, True)
    """
    if retries is None or (
        retries == 0 and isinstance(retries, int) and not isinstance(retries, bool)
    ):
        return None
    if isinstance(retries, Retry):
        return Counted(checked(retries, "retries"), seed)
    if isinstance(retries, int):
        checked_count("retries", retries, 0, MOST_RETRIES)
        return Counted(Retry(attempts=float(retries)), seed)
    if all(callable(getattr(retries, name, None)) for name in ("stop", "wait", "retry")):
        for name in ("stop", "wait", "retry"):
            _refuse_asynchronous(getattr(retries, name), name)
        return _as_tenacity(retries, call)
    allowed = "a whole number, tpssim.Retry, tenacity's Retrying, or None"
    raise InputError(f"retries={retries!r}; allowed: {allowed}")


def _refuse_asynchronous(part: Any, name: str) -> None:
    if inspect.iscoroutinefunction(part) or inspect.iscoroutinefunction(type(part).__call__):
        raise InputError(f"retries: {name}={part!r} is asynchronous; allowed: a plain function")


class Counted:
    """Calls that were not ok are tried again: number, waits and budget are those of a record.

    Any thread. The arithmetic is the model's; the draws are in the order in which calls fail.
    """

    def __init__(self, retry: Retry, seed: int) -> None:
        self._retry = retry
        self._draw = random.Random(f"retries {seed}").random
        self._tokens = RESERVE
        self._lock = threading.Lock()

    def begun(self) -> None:
        """The first call of an item begins."""
        with self._lock:
            self._tokens = deposited(self._tokens, self._retry.budget)

    def __call__(self, attempt: Attempt) -> float | None:
        retry = self._retry
        with self._lock:
            if attempt.outcome.code in (OK, UNFINISHED) or attempt.number > retry.attempts:
                return None
            if retry.budget < math.inf:
                if not affordable(self._tokens):
                    return None
                self._tokens -= 1.0
            asked = attempt.outcome.retry_after or 0.0
            return drawn_wait(retry, attempt.number, self._draw(), attempt.waited, asked)


class _Ended:
    """An attempt as tenacity's conditions read it: as a future that is done."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt_number = attempt.number
        self.failed = attempt.error is not None
        self._result, self._error = attempt.result, attempt.error

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _State:
    """What tenacity calls a RetryCallState, of one attempt."""

    def __init__(self, retrying: Any, call: Callable[..., Any], attempt: Attempt) -> None:
        self.retry_object = retrying
        self.fn, self.args, self.kwargs = call, (attempt.item,), dict[str, Any]()
        self.start_time, self.outcome_timestamp = attempt.began, attempt.ended
        self.seconds_since_start = attempt.ended - attempt.began
        self.attempt_number = attempt.number
        self.idle_for = attempt.idle
        self.upcoming_sleep = 0.0
        self.next_action = None
        self.outcome = _Ended(attempt)


def _answer(answer: Any, name: str) -> Any:
    if inspect.iscoroutine(answer):
        answer.close()
        raise InputError(f"retries: {name} answered a coroutine; allowed: a plain function")
    return answer


def _as_tenacity(retrying: Any, call: Callable[..., Any]) -> Policy:
    """Its conditions in its order: whether to retry, how long to wait, whether to stop."""

    def wait(attempt: Attempt) -> float | None:
        if attempt.outcome.code == UNFINISHED:
            return None
        state = _State(retrying, call, attempt)
        if not (
            type(attempt.error).__name__ == "TryAgain" or _answer(retrying.retry(state), "retry")
        ):
            return None
        state.upcoming_sleep = seconds = float(_answer(retrying.wait(state), "wait"))
        if _answer(retrying.stop(state), "stop"):
            return None
        if not 0.0 <= seconds < math.inf:
            raise InputError(f"retries: wait answered {seconds!r}; allowed: seconds in [0, inf)")
        return max(seconds, attempt.outcome.retry_after or 0.0)

    return wait
