"""`scrapy-autothrottle`: the originals' vectors, and its blindness to quick errors."""

from __future__ import annotations

import math

import pytest
from helpers.laws import done, fed

from tpssim.controllers.scrapy_autothrottle import ScrapyAutothrottle
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked


@pytest.mark.parametrize(
    ("latency", "concurrency", "delay", "bounds", "new"),
    [
        (2.0, 2.0, 1.0, (0.0, 60.0), 1.0),
        (1.0, 2.0, 1.0, (0.0, 60.0), 0.75),
        (4.0, 2.0, 1.0, (0.0, 60.0), 2.0),
        (2.0, 1.0, 1.0, (0.0, 60.0), 2.0),
        (2.0, 4.0, 1.0, (0.0, 60.0), 0.75),
        (2.0, 2.0, 0.5, (0.0, 60.0), 1.0),
        (2.0, 2.0, 2.0, (0.0, 60.0), 1.5),
        (2.0, 2.0, 1.0, (0.5, 2.0), 1.0),
        (2.0, 2.0, 1.0, (0.25, 0.5), 0.5),
        (2.0, 2.0, 1.0, (2.0, 4.0), 2.0),
        (1.0, 1.0, 2.0, (0.0, 60.0), 1.5),
    ],
)
def test_delays(
    latency: float, concurrency: float, delay: float, bounds: tuple[float, float], new: float
) -> None:
    law = ScrapyAutothrottle(0.0, *bounds, concurrency)
    state = law.init(100.0)._replace(delay=delay)
    after = law.update(state, done(1.0, latency))
    assert (after.delay, after.rate) == (new, 1.0 / new)


@pytest.mark.parametrize(
    ("least", "start", "delay"),
    [(0.0, 5.0, 5.0), (4.0, 5.0, 5.0), (6.0, 5.0, 6.0), (7.0, 6.0, 7.0)],
)
def test_it_starts_with_the_longer_of_two_delays(least: float, start: float, delay: float) -> None:
    # test_startdelay_definition of tests/test_extension_throttle.py, at 11079cb.
    assert ScrapyAutothrottle(start, least).init(100.0).delay == delay


def test_with_a_constant_latency_the_distance_halves() -> None:
    states = fed(ScrapyAutothrottle(), [done(float(k), 1.0) for k in range(5)])
    assert [state.delay for state in states] == [5.0, 3.0, 2.0, 1.5, 1.25, 1.125]


def test_a_failure_never_makes_it_faster_and_no_latency_is_no_observation() -> None:
    law = ScrapyAutothrottle()
    quick = Observation(1.0, 100.0, 0.001, 0.0, 1.0, 1.0, 1.0, 1.0)
    slow = Observation(1.0, 100.0, 8.0, 0.0, 1.0, 1.0, 1.0, 1.0)
    none = Observation(1.0, 100.0, math.nan, 0.0, 1.0, 1.0, 1.0, 1.0)
    assert [s.delay for s in fed(law, [quick, none, slow])] == [5.0, 5.0, 5.0, 8.0]


@pytest.mark.parametrize(("latency", "delay"), [(2.0, 1.0), (1.0, 1.0), (4.0, 2.0)])
def test_a_bad_response(latency: float, delay: float) -> None:
    # test_adjustment_bad_response: two under way, 1 s between requests, status 400.
    law = ScrapyAutothrottle(start_delay=1.0, concurrency=2.0)
    failed = Observation(1.0, 100.0, latency, 0.0, 1.0, 1.0)
    assert fed(law, [failed])[-1].delay == delay


def test_bounds_in_the_wrong_order() -> None:
    with pytest.raises(InputError, match="min_delay=70 lies above max_delay=60"):
        checked(ScrapyAutothrottle(min_delay=70.0), "scrapy-autothrottle")
