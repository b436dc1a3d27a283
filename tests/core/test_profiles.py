"""`Stages`: what may be written, and what it means."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tpssim import InputError, Stages


def test_k6_s_stages() -> None:
    load = Stages("30s:100,2m:500,30s:0")
    assert load.stages == ((30.0, 100.0), (120.0, 500.0), (30.0, 0.0))
    assert (load.start, load.duration, load.peak) == (0.0, 180.0, 500.0)
    # By hand: 30 x 50, 120 x 300, 30 x 250.
    assert load.total == 1500.0 + 36_000.0 + 7500.0
    assert [load.at(t) for t in (-1.0, 0.0, 15.0, 30.0, 90.0, 165.0, 180.0, 1e9)] == [
        *(0.0, 0.0, 50.0, 100.0, 300.0, 250.0, 0.0, 0.0)
    ]


def test_pairs_and_text_are_one() -> None:
    assert Stages([(30, 100), (120, 500)]) == Stages("30s:100,2m:500")
    assert Stages([(1, 1)], start=5) == Stages("0s:5,1s:1") != Stages([(1, 1)])
    assert Stages("1s:1").points(7.0) == ([7.0, 8.0, 8.0], [0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1m30s", 90.0),
        ("1h2m3s4ms", 3723.004),
        ("1.5h", 5400.0),
        (" .5s ", 0.5),
        ("2m5ms", 120.005),
        ("1e-3s", 0.001),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert Stages(f"{text}:8").duration == seconds


def test_a_jump_holds_from_its_moment_on() -> None:
    load = Stages("10s:10,0s:50,10s:50")
    assert [load.at(t) for t in (5.0, 9.999, 10.0, 15.0)] == [5.0, 9.999, 50.0, 50.0]
    assert load.total == 50.0 + 500.0


@pytest.mark.parametrize(
    "text",
    ["30s:100,2m:500,30s:0", "0s:50,1m30s:50,0s:7,1.5s:7", "250ms:1,1h:0.1,1h1s:0", "90.5s:1e+06"],
)
def test_it_is_written_as_it_is_read(text: str) -> None:
    assert str(Stages(text)) == text


NUMBERS = st.floats(0.0, 1e9, allow_subnormal=False)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), NUMBERS)
def test_what_is_written_is_read_as_it_was(pairs: list[tuple[float, float]], start: float) -> None:
    assume(
        any(seconds * max(a, b) > 0.0 for (_, a), (seconds, b) in pairwise([(0.0, start), *pairs]))
    )
    load = Stages(pairs, start)
    assert Stages(str(load)) == load
    assert pickle.loads(pickle.dumps(load)) == load


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("", "'' is not duration:target"),
        ("30s:100,", "'' is not duration:target"),
        ("30s", "'30s' is not duration:target"),
        ("30:100", "'30:100' is not duration:target"),
        ("30s1m:100", "'30s1m:100' is not duration:target"),
        ("-30s:100", "'-30s:100' is not duration:target"),
        ("30s:", "'' is no target"),
        ("30s:many", "'many' is no target"),
        ("30s:-1", "target of '30s:-1' is -1.0; allowed: [0, inf)"),
        ("30s:nan", "target of '30s:nan' is nan"),
        ("30s:inf", "target of '30s:inf' is inf"),
        ([(30, math.nan)], "target of (30, nan) is nan"),
        ([(-1, 10)], "duration of (-1, 10) is -1"),
        ([(math.inf, 10)], "duration of (inf, 10) is inf"),
        ([(1e308, 1), (1e308, 1)], "last for ever"),
        ([(True, 10)], "duration of (True, 10) is True"),
        ([("1s", 10)], "duration of ('1s', 10) is '1s'"),
        ([], "no duration"),
        ([(0, 10)], "no duration"),
        ("30s:0,1m:0", "want no call"),
        ("30s:0,0s:9,0s:0,1s:0", "want no call"),
        ([1, 2], "pairs"),
        (30, "pairs"),
    ],
)
def test_what_is_refused_in_one_line(stages: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        Stages(stages)
    assert message in str(error.value)
    assert "allowed: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_start_is_checked() -> None:
    with pytest.raises(InputError, match=r"start.* is -1"):
        Stages("1s:1", start=-1)
