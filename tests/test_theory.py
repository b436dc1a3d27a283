"""The rules that are drawn over a sweep, against published vectors and worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tpssim import theory
from tpssim.disturbances import Swap
from tpssim.scenario import Scenario
from tpssim.services import Constant, Gamma, Lognormal


@pytest.mark.parametrize(
    ("alpha", "ratio"), [(0.05, 0.1601), (0.1, 0.2294), (0.2, 0.3333), (0.3, 0.4201), (0.5, 0.5774)]
)
def test_the_noise_that_an_ewma_keeps(alpha: float, ratio: float) -> None:
    assert theory.noise_rule(alpha, 1.0, 1.0) - 1.0 == pytest.approx(ratio, abs=5e-5)


def test_the_reference_loop() -> None:
    # K 1, tau 1, delay 0.5, d 1: w180 = 1.30654, |G| = 0.465188, critical dead zone 0.29615.
    assert theory.phase_crossover(1.0, 0.5) == pytest.approx(1.30654, abs=5e-6)
    assert theory.critical_dead_zone(1.0, 1.0, 1.0, 0.5) == pytest.approx(0.29615, abs=5e-6)


def test_without_a_lag_the_crossover_is_known_in_closed_form() -> None:
    # e^(-s L) / s lags by half a turn at w = pi / (2 L), where its gain is 2 L / pi: delta = 4 d L / pi^2.
    assert theory.phase_crossover(0.0, 1.0) == pytest.approx(math.pi / 2.0)
    assert theory.critical_dead_zone(1.0, 1.0, 0.0, 1.0) == pytest.approx(4.0 / math.pi**2)
    # alpha 1 has no lag; steps of 0.1 down and 2/50 up have the mean 0.07.
    boundary = theory.cycle_boundary(1.0, 0.95, 0.9, 2.0, 50.0)
    assert boundary == pytest.approx(0.95 + 2.0 * 0.07 * 4.0 / math.pi**2)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.2, 1.5])
def test_the_describing_function_tells_where_the_loop_cycles(factor: float) -> None:
    """The reference loop in time, 1 ms steps, from 3: a cycle below the boundary, none above it."""
    delta = factor * theory.critical_dead_zone(1.0, 1.0, 1.0, 0.5)
    dt, delay = 1e-3, 500
    x = y = 3.0
    outputs = np.zeros(150_000)
    for k in range(len(outputs)):
        outputs[k] = y
        seen = outputs[k - delay] if k >= delay else 0.0
        u = -1.0 if seen > delta else 1.0 if seen < -delta else 0.0
        x += dt * u
        y += dt * (x - y)
    late = outputs[-50_000:]
    assert (np.ptp(late) > 0.1) == (factor < 1.0)


def test_the_noise_of_the_noisiest_service() -> None:
    plant = Scenario("s", Constant(0.01), 10.0, 20.0)
    assert theory.service_noise(plant) == 0.0
    noisy = plant._replace(
        disturbances=(Swap(1.0, 2.0, Lognormal(0.02, 0.5)), Swap(3.0, 4.0, Gamma(0.02, 0.2)))
    )
    assert theory.service_noise(noisy) == pytest.approx(0.5, rel=0.05)
