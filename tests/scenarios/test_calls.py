"""The table of a recording: sorted, checked, cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.scenarios.recordings.calls import Recording, Source

ROWS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(0, 5) | st.none(),
        st.sampled_from([FAILED, TIMED_OUT, REJECTED, UNFINISHED]),
        st.integers(1, 3),
        st.sampled_from("ab"),
    ),
    min_size=1,
)


def made(rows: list[tuple[int, int | None, int, int, str]]) -> Recording:
    ends = [math.nan if taken is None else start + taken for start, taken, *_ in rows]
    return Recording.of(
        [start for start, *_ in rows],
        ends,
        [row[2] for row in rows],
        cost=[row[3] for row in rows],
        name=[row[4] for row in rows],
    )


@given(ROWS, st.randoms())
def test_any_order_of_the_rows_gives_the_same_table(
    rows: list[tuple[int, int | None, int, int, str]], dice: object
) -> None:
    shuffled = list(rows)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = made(rows), made(shuffled)
    assert one.names == other.names
    for column in ("start", "completion", "outcome", "cost", "name"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
    assert one.start[0] == 0.0
    assert (np.diff(one.start) >= 0.0).all()


def test_times_begin_at_the_first_start() -> None:
    seen = Recording.of([12.0, 10.0, 11.0], [12.5, 13.0, math.nan], began=1000.0)
    assert seen.start.tolist() == [0.0, 1.0, 2.0]
    assert seen.latency.tolist()[::2] == [3.0, 0.5]
    assert seen.outcome.tolist() == [OK, UNFINISHED, OK]
    assert seen.began == 1010.0


def test_a_part_keeps_its_times() -> None:
    seen = Recording.of([0.0, 1.0, 2.0, 3.0], [0.5, 1.5, 2.5, 3.5], name=["a", "b", "a", "b"])
    part = seen.between(1.0, 3.0)
    assert part.start.tolist() == [1.0, 2.0]  # the end is exclusive
    assert len(seen.between(3.0, 1.0)) == 0
    assert seen.named("b").start.tolist() == [1.0, 3.0]
    assert part.named("a").completion.tolist() == [2.5]
    with pytest.raises(InputError, match=r"named 'c'; allowed: a, b"):
        seen.named("c")
    with pytest.raises(InputError, match="it has no names"):
        Recording.of([0.0], [1.0]).named("a")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0.0, math.nan], [1.0, 1.0]), r"start\[1\]=nan; allowed: finite numbers"),
        (([0.0, 2.0], [1.0, 1.0]), r"completion\[1\]=1; allowed: not before its start"),
        (([0.0], [1.0, 2.0]), r"completion: shape \(2,\); allowed: \(1,\)"),
        (([0.0], ["x"]), r"completion: .*; allowed: numbers"),
        (([0.0], [1.0], [6]), r"outcome\[0\]=6; allowed: 0 to 5"),
        (([0.0], [1.0], [0.5]), r"outcome\[0\]=0.5; allowed: 0 to 5"),
        (([0.0], [math.nan], [OK]), r"completion\[0\]=nan; allowed: a number, for a call that"),
    ],
)
def test_columns_that_cannot_be(columns: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recording.of(*columns)


def test_names_are_as_many_as_calls() -> None:
    with pytest.raises(InputError, match="name: 1 values; allowed: 2, as start has"):
        Recording.of([0.0, 1.0], [1.0, 2.0], name=["a"])


def test_what_was_made_of_a_file_is_one_line() -> None:
    source = Source("a.csv", "k6 CSV", "", 1200, 2, "row 7: 'x'", ("It is stamped at ends.",))
    assert source.said() == (
        "a.csv: k6 CSV, 1,200 rows, 2 could not be read (row 7: 'x'); It is stamped at ends"
    )
    assert "1 call in 2 s (k6 CSV)" in repr(Recording.of([5.0], [7.0], source=source))
