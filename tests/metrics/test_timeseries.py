"""Signal measures against published vectors and values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.metrics import timeseries

N = 2000
T = np.arange(N, dtype=np.float64)
NORMALS = np.random.default_rng(1).standard_normal(6000)


def sawtooth() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The AIMD sawtooth of the reference: from 500, + 10 below 1000, else halved."""
    values = [500.0]
    while len(values) < N:
        values.append(values[-1] + 10.0 if values[-1] < 1000.0 else values[-1] / 2.0)
    return np.array(values)


def cycle(x: timeseries.Array) -> timeseries.Cycle:
    return timeseries.cycle(timeseries.autocorrelation(x))


def autoregressive() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = [0.0]
    for normal in NORMALS[1:N]:
        values.append(0.8 * values[-1] + normal)
    return np.array(values)


SINE = np.sin(2.0 * np.pi * T / 50.0)

# Reference table: signal, Thornhill r, period, Miao R (recorded from independent implementations).
VECTORS = [
    ("sine + noise", SINE + 0.3 * NORMALS[2000:4000], 144.0, 49.99, 0.94),
    ("sawtooth", sawtooth(), 2.0, 51.0, 0.99),
    ("sawtooth + noise", sawtooth() + 50.0 * NORMALS[4000:6000], 2.0, 51.0, 0.95),
]


@pytest.mark.parametrize(
    ("name", "x", "r", "period", "big_r"), VECTORS, ids=[v[0] for v in VECTORS]
)
def test_cycles_of_the_reference(
    name: str, x: timeseries.Array, r: float, period: float, big_r: float
) -> None:
    got = cycle(x)
    assert got.regularity == pytest.approx(r, rel=0.15)
    assert got.period == pytest.approx(period, rel=0.01)
    assert got.oscillation == pytest.approx(big_r, abs=0.05)
    assert timeseries.is_regular(got)


def test_a_pure_sine_is_as_regular_as_can_be() -> None:
    got = cycle(SINE)
    assert got.regularity > 100.0
    assert got.period == pytest.approx(50.0, rel=1e-3)
    assert got.oscillation == pytest.approx(0.99, abs=0.03)


@pytest.mark.parametrize(
    ("x", "r"), [(NORMALS[:2000], 0.48), (autoregressive(), 0.38)], ids=["white", "AR(1)"]
)
def test_noise_is_no_cycle(x: timeseries.Array, r: float) -> None:
    # R of noise differs between definitions of an extreme of a ragged function, but is low.
    assert cycle(x).regularity == pytest.approx(r, rel=0.35)
    assert not timeseries.is_regular(cycle(x))


def test_a_constant_has_no_cycle() -> None:
    flat = np.full(1000, 0.1)
    assert all(math.isnan(value) for value in cycle(flat))
    assert not timeseries.is_regular(cycle(flat))


@given(st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
@settings(max_examples=25, deadline=None)
def test_cycles_do_not_depend_on_scale_and_offset(scale: float, offset: float) -> None:
    x = SINE + 0.3 * NORMALS[2000:4000]
    assert tuple(cycle(scale * x + offset)) == pytest.approx(tuple(cycle(x)), rel=1e-4)


def test_the_autocorrelation_of_a_short_signal_by_hand() -> None:
    # x = 1 0 1 0: deviations +-1/2, power 1; lag 1: 3 products of -1/4.
    assert timeseries.autocorrelation(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx([1.0, -0.75])


SETTLING = [
    ([0.0, 1.3, 0.8, 1.05, 1.0], 3.0),  # leaves the band at 2, for good inside from 3
    ([1.0, 1.05, 0.95, 1.0, 1.1], 0.0),  # the edge of the band is inside
    ([0.0, 1.0, 1.0, 1.0, 1.3], math.inf),  # ends outside: never
    ([1.0, 1.0, 2.0, 1.0, 1.0], 3.0),  # the first entry does not count
]


@pytest.mark.parametrize(("y", "expected"), SETTLING)
def test_settling_counts_from_the_last_exit(y: list[float], expected: float) -> None:
    # A band of 0.125 around 1 holds 1.1 and 0.95, not 1.3 or 0.8.
    got = timeseries.settling_time(np.arange(5.0), np.array(y), 5, 1.0, 0.125)
    assert got == pytest.approx(expected)


def test_settling_of_the_documented_system() -> None:
    # G = (s^2 + 5 s + 5) / (s^4 + 1.65 s^3 + 5 s^2 + 6.5 s + 2): 27.9762 s to within 2 % in
    # MATLAB's documentation, 27.9801 s on a fine grid.
    from scipy import signal

    t = np.linspace(0.0, 60.0, 60001)
    _, y = signal.step(([1, 5, 5], [1, 1.65, 5, 6.5, 2]), T=t)
    settled = timeseries.settling_time(t, y, len(t), 2.5, 0.02 * 2.5)
    assert settled == pytest.approx(27.9801, rel=1e-3)
    assert settled == pytest.approx(27.9762, rel=5e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.0, 1.0))
def test_quantiles_are_numpys(values: list[float], q: float) -> None:
    ordered = np.sort(values)
    padded = np.append(ordered, math.inf)
    assert timeseries.quantile(padded, len(ordered), q) == np.quantile(ordered, q)


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(1, 50))
@settings(deadline=None)
def test_the_densest_window_is_found(ticks: list[int], window: int) -> None:
    times = sorted(ticks)
    brute = max((sum(t <= other < t + window for other in times) for t in times), default=0)
    assert (
        timeseries.most_in_window(np.array(times, dtype=np.float64), len(times), float(window))
        == brute
    )
