"""What every law in the dict promises; a new controller is tested here without a word."""

from __future__ import annotations

import doctest
import importlib
import inspect
import math
import struct
from typing import Any

import pytest
from helpers.laws import fed, memory_of, numbers
from helpers.observations import (
    PIECES,
    TARGETS,
    TICK,
    observed,
    part,
    records,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS, actuators_of
from tpssim.core.errors import InputError
from tpssim.core.pacer import Pacer
from tpssim.core.types import ACTUATORS, Observation
from tpssim.core.validation import FLAG, checked, meanings, ranges, replaced

LAWS = pytest.mark.parametrize("name", CONTROLLERS)


def observations(target: float) -> st.SearchStrategy[list[Observation]]:
    return PIECES.map(lambda pieces: observed(pieces, target))


def states(law: Any, target: float, history: list[Observation]) -> list[Any]:
    return fed(law, history, target)


@LAWS
@given(st.data(), TARGETS)
@settings(max_examples=100, deadline=None)
def test_states_are_sound_the_same_each_time_and_unmoved_by_a_local_refusal(
    name: str, data: st.DataObject, target: float
) -> None:
    law = data.draw(records(name))
    history = data.draw(observations(target))
    found = states(law, target, history)
    for state in found:
        assert state._fields[:3] == ("rate", "limit", "reject")
        assert all(type(value) is float for value in numbers(state)), state
        assert not math.isnan(state.rate)
        if state.rate < math.inf:
            assert 0.0 < state.rate <= max(target, getattr(law, "min_rate", 0.0))
            assert state.rate >= min(target, getattr(law, "min_rate", 0.0))
        assert state.limit >= min(1.0, getattr(law, "min_limit", 1.0))
        assert 0.0 <= state.reject <= 1.0
    assert repr(states(law, target, history)) == repr(found)
    refusal = Observation(1e3, target, math.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    after = law.update(state, refusal, *memory_of(law))
    assert after[:2] == state[:2]
    # A law that refuses may count its own refusals: by the SRE book's, they are requests like any
    # other.
    if CONTROLLERS[name].actuators != ("reject",):
        assert after.reject == state.reject


EXTREME = [0.0, 5e-324, 1e-300, 1e-9, 1.0, 1e9, 1e300]
FLYING = [1.0, 2.0, 1e3, 1e9, 1e300]


def extreme(piece: bytes) -> Observation:
    """An observation at the ends of everything: 10 bytes, as `observed` has 20."""
    now, latency, lag, flying, peak, kind, target, u = struct.unpack("<BBBBBBHH", piece)
    refused, failed = kind & 1, kind // 2 % 3
    return Observation(
        EXTREME[now % 7],
        1e-3 * 1e12 ** part(target, 0.0, 1.0),
        math.nan if refused else EXTREME[latency % 7],
        EXTREME[lag % 7],
        0.0 if refused else 1.0,
        0.0 if refused else float(failed > 0),
        FLYING[flying % 5],
        0.0 if refused else float(failed > 1),
        float(refused),
        [0.0, *FLYING][peak % 6],
        u / 65536.0,
    )


EXTREMES = st.lists(st.binary(min_size=10, max_size=10).map(extreme), min_size=8, max_size=8)


@LAWS
@given(st.data(), TARGETS)
@settings(max_examples=100, deadline=None)
def test_finite_observations_however_extreme_leave_sound_actuators(
    name: str, data: st.DataObject, target: float
) -> None:
    law = data.draw(records(name))
    state, memory = law.init(target), memory_of(law)
    for obs in sorted(data.draw(EXTREMES)):  # by time
        if hasattr(law, "admit"):
            state = law.admit(state, obs.now, obs.lag, obs.in_flight, *memory)
        before = state
        state = law.update(state, obs, *memory)
        assert state.rate > 0.0
        assert state.limit > 0.0
        assert 0.0 <= state.reject <= 1.0
        if state[:3] != before[:3]:
            assert law.why(before, obs, state)


def actuators(law: Any, target: float, history: list[Observation], start: float) -> list[Any]:
    """The actuators after each observation, for a law at work from `start` on."""
    pacer = Pacer(law, target, start, Half(), Half())
    seen = []
    for obs in history:
        pacer.flying = 1
        now = start + obs.now
        if math.isnan(obs.latency):
            pacer.refused(now)
        else:
            pacer.settled(now, obs.latency, obs.lag, obs.errors, obs.drops, obs.in_flight)
        seen.append(tuple(pacer.state[:3]))
    return seen


class Half:
    """Draws that are all 0.5."""

    def __getitem__(self, _: int) -> float:
        return 0.5


@LAWS
@given(st.data(), TARGETS, st.integers(0, 2**30))
@settings(max_examples=60, deadline=None)
def test_the_origin_of_time_does_not_matter(
    name: str, data: st.DataObject, target: float, shift: int
) -> None:
    law = data.draw(records(name))
    if hasattr(law, "sensor"):
        # The driver's windows stand in its own time: as the history's, without rounding.
        lengths = {f: getattr(law, f) for f, allowed in ranges(law).items() if allowed.unit == "s"}
        law = law._replace(
            **{f: max(1.0, round(length / TICK)) * TICK for f, length in lengths.items()}
        )
    history = data.draw(observations(target))
    assert actuators(law, target, history, 0.0) == actuators(law, target, history, shift * TICK)


@LAWS
def test_it_starts_with_the_actuator_that_it_names_and_the_others_open(name: str) -> None:
    law = CONTROLLERS[name]
    rate, limit, reject = law().init(123.0)[:3]
    # A law with two actuators decides by what it sees which one it sets: the rate is open until
    # then.
    assert rate <= 123.0 if law.actuators == ("rate",) else rate == math.inf
    assert 1.0 <= limit < math.inf if "limit" in law.actuators else limit == math.inf
    assert reject == 0.0


@LAWS
def test_class_attributes_say_what_it_commands_what_it_sees_and_whose_it_is(name: str) -> None:
    law = CONTROLLERS[name]
    assert set(law.actuators) <= set(ACTUATORS)
    assert actuators_of(law()) == law.actuators
    assert all(isinstance(text, str) and text for text in (law.signals, law.origin))
    assert 1980 <= law.year <= 2026
    assert not {"actuators", "signals", "origin", "year", "description"} & set(law._fields)
    assert law.__doc__ == law.description


@LAWS
def test_each_parameter_has_a_unit_and_a_meaning_that_is_a_whole_clause(name: str) -> None:
    law = CONTROLLERS[name]
    for field, allowed in ranges(law).items():
        meaning = meanings(law)[field]
        assert allowed.unit, field
        assert len(meaning.split()) >= 2, field
        assert meaning[-1].isalnum() or meaning[-1] in "`)", f"{field}: {meaning}"
        assert all(meaning.count(left) == meaning.count(right) for left, right in ("()", "[]")), (
            field
        )
        assert meaning.count("`") % 2 == 0, field
        assert "<-" not in meaning, f"{field}: a formula, not a meaning"
        assert "=" not in meaning, f"{field}: a formula, not a meaning"
        if allowed.unit == FLAG:
            assert "0:" in meaning, f"{field}: what does 0 mean?"
            assert "1:" in meaning, f"{field}: what does 1 mean?"


@LAWS
def test_defaults_and_search_ranges_lie_inside_the_range(name: str) -> None:
    law = CONTROLLERS[name]()
    assert checked(law, name) == law
    for field, allowed in ranges(law).items():
        low, high = allowed.search or (allowed.low, allowed.high)
        assert low < high, field
        assert allowed.low <= low, field
        assert high <= allowed.high, field
        assert low <= getattr(law, field) <= high, field
        assert low > 0.0 or not allowed.log, field


@LAWS
def test_bad_parameters_are_refused_by_name(name: str) -> None:
    law = CONTROLLERS[name]()
    for field, allowed in ranges(law).items():
        bad = [math.nan, math.inf, -math.inf, allowed.low - 1.0, True, "1"]
        bad += [allowed.high + 1.0, *([] if allowed.closed_low else [allowed.low])]
        for value in bad:
            with pytest.raises(InputError, match=field) as error:
                checked(law._replace(**{field: value}), name)
            assert str(allowed) in str(error.value)
            assert "\n" not in str(error.value)


@LAWS
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no parameter 'nothing'"):
        replaced(CONTROLLERS[name](), name, {"nothing": 1.0})


@LAWS
def test_whole_numbers_become_floats(name: str) -> None:
    law = CONTROLLERS[name]()
    for field in ranges(law):
        default = getattr(law, field)
        if default == int(default):
            given = law._replace(**{field: int(default)})
            assert type(getattr(checked(given, name), field)) is float


@LAWS
def test_the_docstring_teaches_the_law(name: str) -> None:
    law = CONTROLLERS[name]
    text = inspect.getdoc(law) or ""
    assert ">>>" in text
    for field in ranges(law):
        assert field in text, f"{name} does not explain {field}"
    module = importlib.import_module(law.__module__)
    assert doctest.testmod(module).attempted > 0


@LAWS
@given(st.data(), TARGETS)
@settings(max_examples=40, deadline=None)
def test_why_is_one_line(name: str, data: st.DataObject, target: float) -> None:
    law = data.draw(records(name))
    before, memory = law.init(target), memory_of(law)
    for obs in data.draw(observations(target)):
        after = law.update(before, obs, *memory)
        reason = law.why(before, obs, after)
        assert reason
        assert "\n" not in reason
        before = after
