"""What a law of the user's may answer: its first state, and each state after it."""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.provenance import ours
from tpssim.core.types import ACTUATORS, Observation
from tpssim.core.validation import Range
from tpssim.core.window import sensor_of

ALLOWED = {
    "rate": Range(0.0, math.inf, "1/s"),
    "limit": Range(0.0, math.inf, "calls"),
    "reject": Range(0.0, 1.0, "probability"),
}


class Refused(Exception):  # raised by compiled code, which cannot say more
    """A state that a law may not answer."""


def within(state: Any) -> Any:
    """The state, if its actuators are allowed; compiled too. Raises `Refused`."""
    if state.rate >= 0.0 and state.limit >= 0.0 and 0.0 <= state.reject <= 1.0:
        return state
    raise Refused


def answered(law: Any, state: Any) -> Any:
    """The state that a law has answered; of the user's, if it is allowed. Raises `Refused`."""
    return state if ours(type(law)) else within(state)


def checked_state(state: Any, answer: str) -> Any:
    """The state that a law answers; raises `InputError`, which begins with `answer`.

    >>> try:
    ...     checked_state((1.0, 2.0, 0.0), "Mine: init(1.0)")
    ... except InputError as error:
    ...     print(error)
    Mine: init(1.0) gives (1.0, 2.0, 0.0) without rate; allowed: a NamedTuple that begins with rate, limit, reject
    """  # noqa: E501
    for name in ACTUATORS:
        if not hasattr(state, name):
            begins = f"a NamedTuple that begins with {', '.join(ACTUATORS)}"
            raise InputError(f"{answer} gives {state!r} without {name}; allowed: {begins}")
        value, allowed = getattr(state, name), ALLOWED[name]
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not allowed.holds(number):
            raise InputError(f"{answer} gives {name}={value!r}; allowed: {allowed}")
    return state


def check_law(law: Any, owner: str) -> None:
    """Refuse a law of the user's whose `init` does not give a state; raises `InputError`."""
    if ours(type(law)):
        return
    try:
        state = law.init(1.0)
    except Exception as error:
        raise InputError(
            f"{owner}: init(1.0) raises {type(error).__name__}: {error}; allowed: a state for every"
            " target"
        ) from error
    checked_state(state, f"{owner}: init(1.0)")


class Watched:
    """A law of the user's at work in the simpy model: what it raises, and a state that it may not
    answer, come with the time.
    """

    def __init__(self, law: Any, scenario: str) -> None:
        self._law, self._scenario = law, scenario
        if hasattr(law, "admit"):
            self.admit = self._admit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._law, name)

    def update(self, state: Any, obs: Observation, *memory: Any) -> Any:
        """The law's answer, checked."""
        return self._answer("update", obs.now, state, obs, *memory)

    def _admit(self, state: Any, now: float, *more: Any) -> Any:
        return self._answer("admit", now, state, now, *more)

    def _answer(self, method: str, now: float, *given: Any) -> Any:
        try:
            state = getattr(self._law, method)(*given)
        except Exception as error:
            error.add_note(f"in {method} at {now:g} s")
            raise
        try:
            return within(state)
        except (Refused, AttributeError, TypeError):
            name = type(self._law).__name__
            return checked_state(state, f"{name} on {self._scenario}: {method} at {now:g} s")


def watched(law: Any, scenario: str) -> Any:
    """The law, watched if it is the user's."""
    if ours(type(law)):
        return law
    sensor_of(law)  # its window is checked in its own name
    return Watched(law, scenario)
