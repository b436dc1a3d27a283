"""A `with` that another thread leaves, what a limiter may not wrap, and that no handle is
copied.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from helpers.watchdog import within

from tpssim import InputError, Limiter, athrottle, throttle


def test_a_with_that_another_thread_leaves_is_not_in_flight_for_good() -> None:
    limiter = Limiter(1000.0)
    limiter.__enter__()
    with pytest.raises(InputError, match="another thread or task leaves"):
        within(30.0, lambda: limiter.__exit__(None, None, None))
    report = limiter.report()
    assert (report.in_flight, report.forgotten, report.ok) == (0, 1, 0)


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_staticmethod_is_refused_when_it_is_decorated(kind: Any) -> None:
    with pytest.raises(
        InputError, match=f"is a {kind.__name__} already; allowed: @{kind.__name__} above"
    ):
        Limiter(5.0)(kind(lambda *_: 1))


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "make", [lambda: Limiter(5.0), lambda: throttle("a", 5.0), lambda: athrottle("a", 5.0)]
)
def test_a_schedule_belongs_to_one_process(
    make: Callable[[], Any], way: Callable[[Any], Any]
) -> None:
    with pytest.raises(
        TypeError, match="not copied or pickled: its schedule belongs to one process"
    ):
        way(make())
