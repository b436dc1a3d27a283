"""What is no call, policy or path is refused in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tpssim import InputError, arun, run, throttle


async def asynchronous(_: Any) -> None:
    """Nothing."""


NOTHING: Any = None
FIVE: Any = 5
NONSENSE: list[tuple[Callable[[], Any], str]] = [
    (lambda: run(asynchronous, range(3), 1000.0), "is asynchronous; allowed: with arun"),
    (lambda: run(FIVE, range(3), 1000.0), "call=5; allowed: a function of an item"),
    (lambda: asyncio.run(arun(NOTHING, range(3), 1000.0)), "call=None; allowed: a function"),
    (lambda: throttle("a", 5.0, late=NOTHING), "late=None; allowed: auto, burst"),
    (lambda: throttle("a", 5.0, spin=NOTHING), "spin=None; allowed: auto, off"),
    (lambda: throttle("a", 5.0, record=FIVE), "record=5; allowed: a path, or None"),
]


@pytest.mark.parametrize(("given", "complaint"), NONSENSE)
def test_what_is_no_call_policy_or_path_is_refused_in_one_line(
    given: Callable[[], Any], complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        given()
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def nothing(_: Any) -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (lambda: run(nothing, [1], 5.0, retires=2), "run: there is no option 'retires', did you"),
        (
            lambda: asyncio.run(arun(asynchronous, [1], 5.0, max_in_flght=2)),
            "arun: there is no option 'max_in_flght', did you mean 'max_in_flight'? allowed: ",
        ),
    ],
)
def test_a_mistyped_option_names_the_function_that_was_called(
    given: Callable[[], Any], complaint: str
) -> None:
    with pytest.raises(TypeError) as caught:
        given()
    assert str(caught.value).startswith(complaint)
