"""Laws that add steps and cut by a ratio: their sawtooth, and where noise puts it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpssim.core.statistics import Estimate, estimate
from tpssim.experiments.analysis.plants import backlogged, is_lognormal
from tpssim.experiments.analysis.rows import QUIET, Picture, Row, Runs, climb, exact, recovery_row
from tpssim.theory import aimd_balance

TALL = 0.9  # 95th - 5th percentile of a sawtooth, in peak to peak
NOISY = "the service time has a CV of {:.2g}; chance sets the period then, not the loop"


def cut_times(runs: Runs, ratio: float) -> Estimate:
    """The mean time between two cuts by that ratio in the steady window, s."""
    start, end = runs.steady()
    found = []
    for trace in runs.traces:
        cuts = trace.released[1:][trace.rate[1:] <= trace.rate[:-1] * (ratio + 1e-9)]
        cuts = cuts[(cuts >= start) & (cuts < end)]
        found.append(float(np.diff(cuts).mean()) if len(cuts) > 1 else math.nan)
    return estimate(found)


def sawtooth_rows(
    runs: Runs, peak: float, ratio: float, period: float, about: str, mean: float
) -> list[Row]:
    cv = runs.plant.cv
    noisy = "" if cv <= QUIET else NOISY.format(cv)
    swing = TALL * (1.0 - ratio) * peak / mean
    return [
        Row(
            "mean rate, sawtooth", "1/s", mean, runs.of(lambda phase: phase.commanded), about, noisy
        ),
        Row("time between cuts", "s", period, cut_times(runs, ratio), about, noisy),
        Row("swing, sawtooth", "share", swing, runs.of(lambda phase: phase.swing), about, noisy),
    ]


def of_aimd(law: Any, runs: Runs, seed: int) -> tuple[list[Row], Picture]:
    plant = runs.plant
    peak = law.threshold * plant.capacity
    clipped = peak > plant.target
    about = f"from {law.dec_rate:g} x peak to a peak of {law.threshold:g} x capacity, a step a call"
    mean = (1.0 + law.dec_rate) / 2.0 * peak
    calls = (1.0 - law.dec_rate) * peak / law.inc_step if law.inc_step > 0.0 else math.inf
    rows = sawtooth_rows(runs, peak, law.dec_rate, calls * plant.mean, about, mean)
    if clipped:
        rows = [
            row._replace(refusal=f"the peak lies above the wanted {plant.target:g}/s")
            for row in rows
        ]
    balance = math.nan
    if is_lognormal(plant) and plant.cv > QUIET:
        balance = aimd_balance(plant.mean, plant.cv, law.threshold, law.dec_rate, law.inc_step)
        rows.append(
            Row(
                "mean rate, mean field",
                "1/s",
                balance,
                runs.of(lambda phase: phase.commanded),
                "expected gain = expected loss at one rate; lognormal service; good to about 12 %",
            )
        )
    up, down = law.inc_step / plant.capacity, -math.log(law.dec_rate)
    late = backlogged(law, plant)[2000:]
    cuts = np.flatnonzero(np.diff(late) < 0.0)
    spacing = float(np.diff(cuts).mean()) if len(cuts) > 1 else math.nan
    rows.append(
        Row(
            "period as a relay, no noise",
            "s",
            4.0 * plant.mean,
            exact(spacing * plant.mean),
            "describing function: an integrator with a call of delay turns by half at 4 calls",
            (
                f"its steps differ by {down / math.log1p(up):.3g} : 1; such a wave is a sawtooth,"
                " not a sine"
                if up > 0.0
                else "it never rises"
            ),
        )
    )
    rest = mean if math.isnan(balance) else balance
    rows += climb(runs, rest, law.inc_step)
    regular = plant.cv <= QUIET and not clipped
    levels = [("predicted mean", rest)] if regular or not math.isnan(balance) else []
    if regular:
        levels += [("predicted peak", peak), ("predicted trough", law.dec_rate * peak)]
    return rows, Picture("", [], [], levels)


def of_aimd_epoch(law: Any, runs: Runs, seed: int) -> tuple[list[Row], Picture]:
    plant = runs.plant
    if law.slow <= plant.mean or law.inc_step == 0.0:
        return [], Picture("", [], [], [])
    c, a, beta = plant.capacity, law.inc_step, law.dec_rate
    # A rate that rises by a from C on has a backlog of a t^2 / (2 C) s after t; it is seen at
    # `slow`.
    drained = c + math.sqrt(2.0 * a * c * (law.slow - plant.mean))
    kept = 2.0 * c / (1.0 + beta)
    peak = min(drained, kept)
    mean = (1.0 + beta) / 2.0 * peak
    about = (
        f"delay d: the backlog that tells takes sqrt(2 C slow / a); peak C + a d = {drained:.4g}/s,"
        f" or 2 C / (1 + beta) = {kept:.4g}/s if it is not drained between cuts"
    )
    if peak > plant.target:
        about += f"; above the wanted {plant.target:g}/s"
    rows = sawtooth_rows(runs, peak, beta, (1.0 - beta) * peak / a, about, mean)
    if peak > plant.target:
        rows = [
            row._replace(refusal=f"the peak lies above the wanted {plant.target:g}/s")
            for row in rows
        ]
    if not math.isnan(plant.later):
        rows += recovery_row(
            runs,
            (0.95 * plant.later - mean) / a,
            "from the predicted mean rate by inc_step a second",
        )
    levels: list[tuple[str, float]] = []
    if plant.cv <= QUIET and peak <= plant.target:
        levels = [
            ("predicted mean", mean),
            ("predicted peak", peak),
            ("predicted trough", beta * peak),
        ]
    return rows, Picture("", [], [], levels)
