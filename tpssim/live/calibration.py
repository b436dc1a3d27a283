"""How this machine waits, measured as timer models for the simulator. Standard library only."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.timer_models import TimerModel
from tpssim.core.types import record
from tpssim.core.validation import replaced
from tpssim.live.journal import machine
from tpssim.live.waiting import PreciseClock

if TYPE_CHECKING:
    from tpssim.output.records import CalibrateRecord

#: Lengths of the sleeps that are measured, s.
LENGTHS = (0.0002, 0.0005, 0.0014, 0.0023, 0.005, 0.0107)
#: Sleeps of each length.
SLEEPS = 100
#: A wake-up later than so many medians is a spike, caused by another program.
SPIKE = 6.0
#: Granularities that are tried, s: none, milliseconds (epoll), the tick of older Windows.
GRANULARITIES = (0.0, 0.001, 0.015625)
P99 = 2.326  # of the standard normal distribution


@record
class Measured(NamedTuple):
    """How late one kind of wait ends: the model that fits, and what it was fitted to."""

    kind: str
    model: TimerModel
    late: dict[float, list[float]]  #: by length of the wait, s: each wait's lateness, s


def quantile(values: Sequence[float], q: float) -> float:
    """The value of rank ceil(q n)."""
    return sorted(values)[max(math.ceil(q * len(values)), 1) - 1]


def clock_cost(reads: int = 100_000) -> float:
    """The time to read the clock, s: the least of five rounds."""
    now = time.perf_counter
    best = math.inf
    for _ in range(5):
        start = now()
        for _ in range(reads // 5):
            now()
        best = min(best, (now() - start) / (reads // 5))
    return best


def measure_sleeps(
    sleep: Callable[[float], object], progress: Callable[[], None], sleeps: int = SLEEPS
) -> dict[float, list[float]]:
    """How late each of many sleeps ends, s, by length."""
    late: dict[float, list[float]] = {length: [] for length in LENGTHS}
    now = time.perf_counter
    for _ in range(sleeps):  # lengths in turn, so that a disturbance affects all of them
        for length in LENGTHS:
            start = now()
            sleep(length)
            late[length].append(now() - start - length)
        progress()
    return late


def measure_asyncio(progress: Callable[[], None], sleeps: int = SLEEPS) -> dict[float, list[float]]:
    """How late `asyncio.sleep` ends on the default loop, s, by length."""

    async def main() -> dict[float, list[float]]:
        late: dict[float, list[float]] = {length: [] for length in LENGTHS}
        now = time.perf_counter
        for _ in range(sleeps):
            for length in LENGTHS:
                start = now()
                await asyncio.sleep(length)
                late[length].append(now() - start - length)
            progress()
        return late

    return asyncio.run(main())


def fitted(late: dict[float, list[float]], cost: float) -> TimerModel:
    """The timer model (see `TimerModel`) of measured late wake-ups.

    `granularity` is the candidate with which the medians of the lengths are closest together.
    `proportional` is the slope of the median over the length, if that explains more than half of
    the longest one's lateness. `median` and `sigma = ln(p99 / median) / 2.326` are of the rest, at
    least 1 us; beyond 6 medians it is a spike.
    """
    granularity = min(GRANULARITIES, key=lambda g: _spread(late, g))
    rest = {
        length: [x - _rounding(length, granularity) for x in values]
        for length, values in late.items()
    }
    medians = {length: statistics.median(values) for length, values in rest.items()}
    slope = statistics.linear_regression(list(medians), list(medians.values())).slope
    longest = max(medians)
    proportional = min(slope, 1.0) if slope * longest > 0.5 * medians[longest] else 0.0
    left = [max(x - proportional * length, 1e-6) for length, values in rest.items() for x in values]
    median = statistics.median(left)
    spikes = [x for x in left if x > SPIKE * median]
    usual = [x for x in left if x <= SPIKE * median]
    return TimerModel(
        median=median,
        sigma=max(math.log(quantile(usual, 0.99) / median) / P99, 0.0),
        proportional=proportional,
        most=proportional * longest,
        spike=len(spikes) / len(left),
        spike_low=min(spikes, default=0.0),
        spike_high=max(spikes, default=0.0),
        granularity=granularity,
        read_cost=cost,
    )


def _rounding(length: float, granularity: float) -> float:
    """How much the granularity lengthens a wait, s."""
    return math.ceil(length / granularity) * granularity - length if granularity > 0.0 else 0.0


def _spread(late: dict[float, list[float]], granularity: float) -> float:
    """How far apart the medians of the lengths are, without the rounding, s; below zero counts
    double.
    """
    medians = [
        statistics.median(values) - _rounding(length, granularity)
        for length, values in late.items()
    ]
    return max(medians) - min(medians) + 2.0 * max(-min(medians), 0.0)


def calibrate(
    progress: Callable[[int, int], None], sleeps: int = SLEEPS
) -> tuple[float, list[Measured]]:
    """(cost of reading the clock, s; how each kind of wait ends) on this machine, in 10 s or so."""
    done, total = 0, 3 * sleeps

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    cost = clock_cost()
    quiet = PreciseClock("off")
    kinds = [
        ("sleep", measure_sleeps(time.sleep, step, sleeps)),
        ("slack1", measure_sleeps(lambda s: quiet.wait(quiet.now() + s), step, sleeps)),
        ("asyncio", measure_asyncio(step, sleeps)),
    ]
    return cost, [Measured(kind, fitted(late, cost), late) for kind, late in kinds]


def record_of(cost: float, threshold: float, measured: Sequence[Measured]) -> CalibrateRecord:
    """The machine and its models by kind, as plain data."""
    from tpssim.output.records import CalibrateRecord

    return CalibrateRecord(
        clock_read=cost,
        threshold=threshold,
        machine=machine(),
        timers={one.kind: one.model._asdict() for one in measured},
    )


def read_timer(text: str) -> TimerModel:
    """The model in a calibration file, `FILE.json` (its `sleep`) or `FILE.json:KIND`; raises
    `InputError`.
    """
    place, colon, kind = text.rpartition(":")
    path, kind = (place, kind) if colon and place.endswith(".json") else (text, "sleep")
    try:
        timers = json.loads(Path(path).read_text(encoding="utf-8"))["timers"]
        known = {name: replaced(TimerModel(), name, values) for name, values in timers.items()}
    except OSError as error:
        raise InputError(
            f"timer {path!r} cannot be read: {error.strerror}; allowed: a timer.json"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"timer {path!r} is no calibration; allowed: a timer.json of calibrate"
        ) from error
    if kind not in known:
        raise InputError(f"timer {path!r} has no {kind!r}; allowed: {', '.join(known)}")
    return known[kind]
