"""How numbers are written: one form for one thing, wherever it stands."""

from __future__ import annotations

import math
import re

import pytest

from tpssim.live.bounded_counts import Histogram
from tpssim.live.panel import pair
from tpssim.output import format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 us"),
        (9.9e-8, "<0.1 us"),
        (1e-7, "0.1 us"),
        (0.0009994, "999 us"),
        (0.00099951, "1 ms"),
        (0.9994, "999 ms"),
        (0.99951, "1 s"),
        (12.34, "12.3 s"),
    ],
)
def test_a_time_takes_the_next_unit_where_it_would_be_a_thousand(value: float, text: str) -> None:
    assert format.seconds(value) == text


def test_the_live_view_writes_times_as_the_report_does() -> None:
    histogram = Histogram()
    histogram.add(0.002)
    assert re.fullmatch(r"(1\.9\d|2|2\.0\d) ms/(1\.9\d|2|2\.0\d) ms", pair(histogram))


def test_what_there_is_none_of_is_a_dash_in_every_form() -> None:
    forms = [format.number, format.seconds, format.share, format.rate]
    assert {write(math.nan) for write in forms} == {"-"}
    assert format.fixed(math.nan, 2) == format.fixed(None, 2) == "-"


def test_a_number_that_rounds_to_nothing_has_no_sign() -> None:
    assert format.fixed(-0.004, 2) == "0.00"
    assert format.fixed(-0.006, 2) == "-0.01"


def test_the_half_of_an_interval_is_written_in_the_unit_of_its_mean() -> None:
    from tpssim.core.statistics import Estimate

    value = Estimate(0.941, 0.931, 0.951, 5, 0)
    assert format.interval(value, 1, 100.0) == "94.1 ±1.0"
    assert format.half(value._replace(never=1), 1, 100.0) == "", "the mean is of some runs only"
