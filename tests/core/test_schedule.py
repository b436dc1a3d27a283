"""The release rule."""

from __future__ import annotations

import math

import pytest

from tpssim.core.schedule import next_due


@pytest.mark.parametrize(
    ("previous", "rate", "target", "due"),
    [
        (1.0, 4.0, 8.0, 1.25),  # the law's rate is the smaller one
        (1.0, 8.0, 4.0, 1.25),  # the target is
        (1.0, math.inf, 4.0, 1.25),  # an open actuator
        (1.0, 0.0, 4.0, math.inf),  # a closed one
    ],
)
def test_due_is_one_interval_after_the_previous(
    previous: float, rate: float, target: float, due: float
) -> None:
    assert next_due(previous, rate, target) == due
