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
