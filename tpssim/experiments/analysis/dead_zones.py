"""Laws with a dead zone: where they cycle, what noise does to them, where they rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpssim import theory
from tpssim.core.statistics import estimate
from tpssim.core.validation import ranges
from tpssim.experiments.analysis.plants import Plant, backlogged
from tpssim.experiments.analysis.rows import (
    QUIET,
    SPREAD,
    Picture,
    Row,
    Runs,
    climb,
    exact,
    recovery_row,
)
from tpssim.simulation.run import simulate
from tpssim.theory import describing

LOOKS = 20_000.0  # calls that a share of false triggers is counted in


def false_triggers(
    law: Any, bound: str, plant: Plant, rate: float, seed: int, replication: int
) -> tuple[float, float]:
    """While the rate is held: the share of looks beyond the upper bound, and the look that 0.135 %
    exceed.
    """
    held = law._replace(low=0.0, inc_step=0.0, dec_rate=1.0 - 1e-12)
    trace = simulate(plant.paced(rate, LOOKS), held, seed=seed, replication=replication)
    # What the law saw: how long the consumer was busy, or the time between two returns.
    busy = trace.latency if bound == "high" else np.diff(trace.released + trace.latency)
    ewma, looks = float(busy[0]), []
    for measured in busy.tolist():
        ewma = law.alpha * measured + (1.0 - law.alpha) * ewma
        looks.append(ewma * rate)
    seldom = float(np.nanquantile(looks, 1.0 - theory.beyond(theory.LOOKS)))
    return float((np.diff(trace.rate) < 0.0).mean()), seldom


def noise_rows(law: Any, bound: str, runs: Runs, load: float, seed: int) -> list[Row]:
    """The noise rule: how often chance crosses the upper bound, and where it would do so seldom."""
    plant = runs.plant
    sigma = plant.cv * load * math.sqrt(law.alpha / (2.0 - law.alpha))
    if sigma == 0.0:
        return []
    name = bound.upper()
    about = f"normal, independent looks at a rate held at {load:.3g} x capacity"
    allowed = ranges(law)[bound]
    rate = load * plant.capacity
    found = [false_triggers(law, bound, plant, rate, seed, i) for i in range(len(runs.traces))]
    share = estimate([often for often, _ in found])
    seldom = estimate([where for _, where in found])
    beyond = load + theory.LOOKS * sigma
    chance = theory.beyond((getattr(law, bound) - load) / sigma)
    return [
        Row(f"looks above {name}", "share", chance, share, about),
        Row(
            f"{name} that 0.135 % cross",
            "x interval",
            beyond,
            seldom,
            f"{about}: {load:.3g} + 3 sigma sqrt(alpha / (2 - alpha)); a skewed service crosses"
            " more often",
            (
                ""
                if beyond <= allowed.high
                else f"it lies above {allowed.high:g}, where {bound} may not be"
            ),
        ),
    ]


def _cycles(law: Any, plant: Plant) -> bool:
    """Whether a law that is always backlogged swings for good."""
    late = backlogged(law, plant)[2000:]
    return bool(np.ptp(late) > 0.01 * late.mean())


def ewma_rows(law: Any, bound: str, step: float, runs: Runs) -> list[Row]:
    """The limit cycle of a relay with a dead zone: as the law runs, and as if its EWMA lagged the
    rate.
    """
    plant, name = runs.plant, bound.upper()
    given = getattr(law, bound)
    rates = backlogged(law, plant)[2000:]
    landing = theory.landing_boundary(law.low, step, plant.capacity)
    widths = np.arange(law.low, law.low + 0.3, 0.0025)
    cycling = [width for width in widths if _cycles(law._replace(**{bound: float(width)}), plant)]
    tau = -1.0 / math.log1p(-law.alpha) if law.alpha < 1.0 else 0.0
    steps = describing.Steps(
        math.log(law.low) if law.low > 0.0 else -math.inf,
        math.log(given),
        math.log1p(step / plant.capacity),
        -math.log(law.dec_rate),
    )
    turn = theory.phase_crossover(tau, 1.0)
    lagged = 1.0 / (turn * math.hypot(1.0, turn * tau))
    cycle = None if law.low == 0.0 or step == 0.0 else describing.limit_cycle(steps, lagged, turn)
    why = (
        "the law smooths the time, not the ratio: a busy consumer's time does not depend on the"
        " rate, so the EWMA is not in the loop"
    )
    return [
        Row(
            "swing, backlogged, no noise",
            "share",
            0.0 if given >= landing else math.nan,
            exact(float(np.ptp(rates) / rates.mean())),
            f"a climb of one step cannot miss a zone that ends at {landing:.4g} or above",
            (
                ""
                if given >= landing
                else "a step is wider than the zone: numbers decide whether it lands"
            ),
        ),
        Row(
            f"{name} without a cycle",
            "x interval",
            theory.cycle_boundary(law.alpha, law.low, law.dec_rate, step, plant.capacity),
            exact(float(max(cycling, default=law.low))),
            "describing function; integrator, EWMA as a lag of the ratio, one call of delay",
            why,
        ),
        Row(
            "period of the cycle",
            "s",
            math.nan if cycle is None else cycle.period * plant.mean,
            runs.of(lambda phase: phase.period),
            "describing function of the two steps, the same loop"
            + ("; it has no cycle" if cycle is None else ""),
            why,
        ),
    ]


def of_ewma_deadzone(law: Any, runs: Runs, seed: int) -> tuple[list[Row], Picture]:
    plant = runs.plant
    rows = ewma_rows(law, "deadzone", law.inc_step, runs)
    rows += noise_rows(law, "deadzone", runs, 1.0, seed)
    rest = theory.dead_zone_balance(law, plant.cv, plant.capacity)
    refusal = (
        "" if plant.cv > QUIET else "without noise it stops wherever it first is inside the zone"
    )
    if law.low == 0.0 or law.inc_step == 0.0:
        refusal = "it never rises: it falls until noise no longer reaches DEADZONE"
    rows.append(
        Row(
            "mean rate",
            "1/s",
            math.nan if refusal else rest,
            runs.of(lambda phase: phase.commanded),
            "paced below capacity the mean ratio is 1: chance cuts and chance rises in balance,"
            " normal noise",
            refusal,
        )
    )
    chance = 0.0
    if plant.later_cv > 0.0:
        sigma = theory.paced_noise(law.alpha, plant.later_cv, rest / plant.later)
        chance = theory.beyond((1.0 - law.low) / sigma)
    rows += recovery_row(
        runs,
        math.inf if chance < 1e-6 else math.nan,
        "paced, the mean ratio is 1 whatever the service could do; chance puts a share of "
        f"{chance:.2g} of the looks below LOW",
    )
    return rows, Picture("", [], [], [] if refusal else [("predicted mean", rest)])


def of_busy_time(law: Any, runs: Runs, seed: int) -> tuple[list[Row], Picture]:
    plant = runs.plant
    step = law.inc_step * plant.target  # 1/s per call
    rows = ewma_rows(law, "high", step, runs)
    middle = (law.low + law.high) / 2.0
    rows += noise_rows(law, "high", runs, middle, seed)
    kept = SPREAD * plant.cv * math.sqrt(law.alpha / (2.0 - law.alpha))
    zone = math.log(law.high / law.low) if law.low > 0.0 else math.inf
    stuck = "it never rises, so it falls with the noise" if 0.0 in (law.low, law.inc_step) else ""
    rows += [
        Row(
            "mean rate",
            "1/s",
            middle * plant.capacity,
            runs.of(lambda phase: phase.commanded),
            "the middle of the dead zone",
            stuck,
        ),
        Row(
            "swing",
            "share",
            max(kept - zone, 0.0),
            runs.of(lambda phase: phase.swing),
            "the rate follows the smoothed busy time, normal noise, with the dead zone as play",
            stuck,
        ),
    ]
    if stuck:
        return rows, Picture("", [], [], [])
    rows += climb(runs, middle * plant.capacity, step)
    return rows, Picture("", [], [], [("predicted mean", middle * plant.capacity)])
