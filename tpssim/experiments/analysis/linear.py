"""`pi` and `pid` near their operating point: a linear loop around the backlog."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.validation import ranges
from tpssim.experiments.analysis.rows import SPREAD, Picture, Row, Runs, exact
from tpssim.output import format
from tpssim.simulation.run import simulate
from tpssim.theory.loops import backlog_loop, margins, noise_kept

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate
    from tpssim.experiments.analysis.plants import Plant
    from tpssim.theory.loops import Loop, Margins

CYCLES = 0.1  # swing of a loop without noise above which it cycles


def linear_loop(law: Any, plant: Plant) -> tuple[Loop, float]:
    """(sampled loop, its period) of `pi` or `pid` with a backlog."""
    h = plant.mean
    if hasattr(law, "ti"):
        gain = plant.target / (plant.capacity * law.setpoint)
        return backlog_loop(law.kp, law.kp / law.ti, 0.0, gain, h, True), h
    h *= max(1.0, math.ceil(law.sample_time / h - 1e-9))
    return backlog_loop(law.kp, law.ki, law.kd, 1.0 / plant.capacity, h, False), h


def of_linear(law: Any, runs: Runs, seed: int) -> tuple[list[Row], Picture]:
    plant = runs.plant
    gains = [name for name in ("kp", "ki", "kd") if getattr(law, name, 0.0) > 0.0]
    if gains in ([], ["kd"]):
        return [], Picture("", [], [], [])
    loop, h = linear_loop(law, plant)
    found = margins(loop, 1e-4 * math.pi / h, 1.01 * math.pi / h)
    simulated = _first_cycle(law, gains, plant)
    unstable = (
        "the loop is unstable: it cycles by itself" if found.gain < 1.0 or found.phase < 0.0 else ""
    )
    rows = _margin_rows(found, simulated) + _rate_rows(runs, noise_kept(loop, h), unstable)
    levels = [] if unstable else [("predicted mean", plant.capacity)]
    w = np.geomspace(1e-3 * math.pi / h, math.pi / h, 1000)
    angle = np.linspace(0.0, 2.0 * math.pi, 200)
    curves = [("L", loop(w)), (f"Ms = {found.peak:.3g}", -1.0 + np.exp(1j * angle) / found.peak)]
    marks = [("-1", complex(-1.0, 0.0))]
    if not rows[0].refusal:
        marks.append(
            (f"-1 / gain margin, predicted {found.gain:.3g}", complex(-1.0 / found.gain, 0.0))
        )
    if simulated.mean is not None:
        marks.append((f"simulated {simulated.mean:.3g}", complex(-1.0 / simulated.mean, 0.0)))
    return rows, Picture("stable while L passes to the right of -1", curves, marks, levels)


def _first_cycle(law: Any, gains: list[str], plant: Plant) -> Estimate:
    """The factor of the gains at which the rate begins to swing, by bisection of runs without
    noise.
    """

    def cycles(factor: float) -> bool:
        louder = law._replace(**{name: factor * getattr(law, name) for name in gains})
        rates = simulate(plant.quiet(), louder).rate
        rates = rates[len(rates) // 2 :]
        # By release, not over time: a rate at its least is in force longest.
        return float(np.ptp(rates)) > CYCLES * float(rates.mean())

    most = min(ranges(law)[name].high / getattr(law, name) for name in gains)
    low, high = 0.01, min(1000.0, most)
    if not cycles(high):
        return exact(math.inf)
    for _ in range(14):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cycles(middle) else (middle, high)
    return exact(high)


def _margin_rows(found: Margins, simulated: Estimate) -> list[Row]:
    about = "sampled each call, backlog as an integrator, no other dead time"
    every = Row("", "", math.nan, None, about)
    # Below 1 the gain margin is still the factor at which the cycle begins; with too much lag there
    # is none.
    lags = found.phase < 0.0 < found.gain - 1.0
    return [
        every._replace(
            quantity="gain margin",
            refusal="the phase margin is negative: it cycles at any gain near this" if lags else "",
            unit="x",
            predicted=found.gain,
            simulated=simulated,
            assumption=(
                f"{about}; simulated without noise: the factor at which the rate begins to swing"
            ),
        ),
        every._replace(quantity="phase margin", unit="degrees", predicted=found.phase),
        every._replace(
            quantity="Ms", unit="1", predicted=found.peak, assumption=f"{about}; wanted: 1.2 to 2"
        ),
        every._replace(quantity="delay margin", unit="s", predicted=found.delay),
    ]


def _rate_rows(runs: Runs, kept: float, unstable: str) -> list[Row]:
    """Mean and swing of the rate; `kept`: the share of the service's noise that reaches it."""
    plant = runs.plant
    return [
        Row(
            "mean rate",
            "1/s",
            plant.capacity,
            runs.of(lambda phase: phase.commanded),
            "it integrates",
            unstable,
        ),
        Row(
            "swing",
            "share",
            SPREAD * plant.cv * kept,
            runs.of(lambda phase: phase.swing),
            f"T = L / (1 + L) hands {format.share(kept, 1)} of the service's noise to the rate;"
            " normal, no bound"
            " reached",
            unstable,
        ),
    ]
