"""Ranges and specifications."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpssim.core.errors import InputError
from tpssim.core.validation import Range, format_spec, parse_spec


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        (Range(0.0, 1.0), [0.0, 0.5, 1.0], [-0.1, 1.1, math.nan]),
        (Range(0.0, 1.0, "", False, False), [1e-300, 0.999], [0.0, 1.0]),
        (Range(0.0, math.inf), [0.0, 1e308, math.inf], [-1.0, math.nan]),
        (Range(0.0, math.inf, closed_high=False), [0.0, 1e308], [math.inf, -1.0]),
    ],
)
def test_a_range_holds_what_it_says(
    allowed: Range, inside: list[float], outside: list[float]
) -> None:
    assert all(allowed.holds(value) for value in inside)
    assert not any(allowed.holds(value) for value in outside)


def test_a_range_is_written_as_an_interval() -> None:
    assert str(Range(0.0, 1.0, "s", closed_low=False)) == "(0, 1] s"
    assert str(Range(0.0, math.inf)) == "[0, inf]"


names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1)


@given(names, st.dictionaries(names, st.integers(-1000, 1000).map(lambda n: n / 8.0), max_size=4))
def test_a_specification_survives_writing_and_reading(
    name: str, parameters: dict[str, float]
) -> None:
    assert parse_spec(format_spec(name, parameters)) == (name, parameters)


@pytest.mark.parametrize(
    "text", ["aimd:", "aimd:x", "aimd:x=", "aimd:x=one", "aimd:=1", "aimd:x=1,,y=2"]
)
def test_a_malformed_specification_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not of the form key=number"):
        parse_spec(text)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="x is given twice"):
        parse_spec("aimd:x=1,x=2")
