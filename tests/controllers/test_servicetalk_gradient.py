"""`servicetalk-gradient`: its original's own vectors and traces, and rules by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.laws import done

from tpssim.controllers.servicetalk_gradient import (
    Average,
    ServicetalkGradient,
    faded,
    moved,
    observed,
)
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked

DATA = Path(__file__).parents[1] / "data" / "servicetalk_gradient.jsonl"
#: The settings of the original's two profiles, as in its source.
SETTINGS: dict[str, dict[str, float]] = {
    "latency": {"min_gradient": 0.2, "max_gradient": 1.2, "on_drop": 0.5, "on_limit": 0.2},
    "throughput": {
        "min_gradient": 0.9,
        "max_gradient": 1.8,
        "on_drop": 0.95,
        "on_limit": 0.9,
        "short": 10.0,
        "occupancy": 0.9,
        "headroom": 1.0,
    },
}
WHOLE = ("short", "headroom")


def of(settings: str) -> ServicetalkGradient:
    """The law with the ratios in single precision, as the original has them."""
    given = {
        name: value if name in WHOLE else float(np.float32(value))
        for name, value in SETTINGS[settings].items()
    }
    return ServicetalkGradient(initial=20.0, min_limit=2.0, max_limit=60.0, **given)


@pytest.mark.parametrize("line", DATA.read_text().splitlines(), ids=["latency", "throughput"])
def test_traces_of_the_original(line: str) -> None:
    """Made by the original's classes (Java, at 3774e81), a process for each: [time in ns, calls
    begun] or [time, latency in ns, failed, the limit after it].
    """
    trace = json.loads(line)
    law, flying, limits = of(trace["settings"]), 0, []
    state = law.init(100.0)
    for step in trace["steps"]:
        now = step[0] * 1e-9
        if len(step) == 2:
            for _ in range(step[1]):
                assert flying + 1 <= state.limit
                state = law.admit(state, now, 0.0, float(flying))
                flying += 1
            continue
        _, latency, failed, limit = step
        obs = Observation(now, 100.0, latency * 1e-9, 0.0, 1.0, float(failed))
        state = law.update(state, obs)
        flying -= 1
        assert state.exact == pytest.approx(limit, rel=1e-12)
        limits.append(limit)
    rose = sum(after > before for before, after in itertools.pairwise(limits))
    fell = sum(after < before for before, after in itertools.pairwise(limits))
    assert rose >= 2
    assert fell >= 5


def test_the_originals_unit_test() -> None:
    # A failure halves a limit of 100.
    law = ServicetalkGradient()
    assert law.update(law.init(100.0), done(0.1, 0.01, dropped=True)).limit == 50.0


def test_steps_by_hand() -> None:
    quick, greedy = ServicetalkGradient(), ServicetalkGradient(**SETTINGS["throughput"])
    assert moved(quick, 100.0, 90.0, 0.1) == 20.0  # the gradient is 0.2 at least
    assert moved(greedy, 100.0, 91.0, 0.5) == 90.0
    assert moved(greedy, 100.0, 90.0, 0.5) == 100.0  # so few are in flight that it says nothing
    assert moved(greedy, 100.0, 0.0, 1.0) == 110.0  # the square root of 100 besides
    assert moved(quick, 110.0, 55.0, 1.1) == pytest.approx(121.0)
    assert moved(quick, 110.0, 54.0, 1.1) == 110.0  # above the initial one, not half used
    top = ServicetalkGradient(initial=50.0, max_limit=50.0)
    assert top.update(top.init(1.0), done(0.1, 0.01, dropped=True)).limit == 10.0
    assert moved(top, 50.0, 50.0, 1.2) == 50.0


def test_a_limit_between_two_whole_numbers_lets_the_greater_one_fly() -> None:
    law = ServicetalkGradient(initial=5.0)
    assert law.update(law.init(1.0), done(0.1, 0.01, dropped=True)).limit == 3.0


def test_once_in_an_interval_and_never_by_calls_below_a_millisecond() -> None:
    law = ServicetalkGradient()
    state = law.init(100.0)
    for now in (0.2, 0.999999999):
        state = law.update(state, done(now, 0.05))
        assert state.changed == 0.0
    assert law.update(state, done(1.0, 0.05)).changed == 1e9
    short = law.update(state, done(1.0, 0.0009))
    assert (short.changed, short.exact) == (0.0, 100.0)


def test_averages_by_hand() -> None:
    # Half after a half-life; and 0.9 of one that is more than twice as long as the quicker one.
    assert faded(8.0, 3e9, 0.0, 1.0) == pytest.approx(1.0)
    first = observed(Average(float("nan"), float("nan"), 0.0, 0.0), 5e9, 7.0, 600.0, 1.0)
    assert first == Average(7.0, 7.0, 5e9, 5e9)
    calmed = observed(Average(100.0, 40.0, 0.0, 0.0), 1e9, 60.0, 600.0, 1.0)
    assert calmed.calm == pytest.approx(50.0)
    assert calmed.value > 90.0  # 50 is not below half of 100
    calmed = observed(Average(100.0, 40.0, 0.0, 0.0), 1e9, 59.0, 600.0, 1.0)
    assert calmed.value == pytest.approx(90.0, rel=1e-6)


def test_the_bounds_in_order() -> None:
    with pytest.raises(InputError, match="initial=100 is not between min_limit=1 and max_limit=50"):
        checked(ServicetalkGradient(max_limit=50.0), "servicetalk-gradient")


def test_why() -> None:
    law, obs = ServicetalkGradient(), done(1.0, 0.1)
    state: Any = law.update(law.init(1.0), done(0.5, 0.05))
    after = law.update(state, obs)
    assert law.why(state, obs, after) == "long 50.03 ms, short 100 ms: limit 51"
    assert law.why(state, obs, state) == "held at 100"
