"""How late a sleep ends and what reading the clock costs: models of timers, and the waits planned
on them.

Times in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

from tpssim.core.types import ceiled, record
from tpssim.core.validation import Range

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: The least step of a timer, a clock or a grid, s. The longest run is of 1e6 s, where neighbouring
#: floats lie 1.2e-10 s apart: of a shorter step time would not move.
FINEST = 1e-9


class Draws(Protocol):
    """Numbers by index: a list, or noise that is drawn when it is asked for."""

    def __getitem__(self, index: int, /) -> float: ...


@record
class TimerModel(NamedTuple):
    """How late a sleep ends, and what a look at the clock costs.

    A sleep of `d` seconds begun at `t` ends at::

        t' = t + (d rounded up to a multiple of granularity) + min(proportional * d, most) + late
        t' rounded up to a multiple of tick

    where `late = median * exp(sigma * z)` with z standard normal, and with probability `spike`
    instead a uniform draw between `spike_low` and `spike_high`. It is drawn once per sleep, indexed
    by the sleep's number. Reading the clock takes `read_cost`.

    >>> sleep_end(TimerModel(granularity=1e-3), 0.0, 0.00143, 125e-6)  # 2 ms, then late
    0.002125
    """

    median: Annotated[float, Range(0.0, 1.0, "s"), "how late a sleep ends, at the median"] = 0.0
    sigma: Annotated[
        float,
        Range(0.0, 5.0, "of log"),
        "spread of the lateness of a sleep: standard deviation of its logarithm",
    ] = 0.0
    proportional: Annotated[
        float,
        Range(0.0, 1.0, "of the sleep"),
        "how much of its own length a sleep ends later besides",
    ] = 0.0
    most: Annotated[float, Range(0.0, 1.0, "s"), "the most that `proportional` adds to a sleep"] = (
        0.0
    )
    spike: Annotated[
        float,
        Range(0.0, 1.0, "probability"),
        "probability that a sleep ends late by a draw between `spike_low` and `spike_high` instead",
    ] = 0.0
    spike_low: Annotated[float, Range(0.0, 10.0, "s"), "least lateness of a sleep with a spike"] = (
        0.0
    )
    spike_high: Annotated[
        float, Range(0.0, 10.0, "s"), "greatest lateness of a sleep with a spike"
    ] = 0.0
    granularity: Annotated[
        float,
        Range(FINEST, 1.0, "s", off=True),
        "step to a multiple of which a sleep's length is rounded up",
    ] = 0.0
    tick: Annotated[
        float,
        Range(FINEST, 1.0, "s", off=True),
        "step to a multiple of which the time at which a sleep ends is rounded up",
    ] = 0.0
    nearest: Annotated[
        float,
        Range(0.0, 1.0, "0 or 1"),
        "1: asyncio's timers end at the nearest multiple of `granularity`, as in libuv; 0: at the"
        " next",
    ] = 0.0
    read_cost: Annotated[
        float, Range(FINEST, 1e-3, "s", off=True), "time that a look at the clock takes"
    ] = 0.0


IDEAL = TimerModel()


#: Medians and 99th percentiles of measured sleeps; sigma = ln(p99 / median) / 2.326.
TIMERS = {
    "ideal": IDEAL,
    "linux": TimerModel(
        125e-6, 0.23, spike=1e-3, spike_low=0.5e-3, spike_high=4.3e-3, read_cost=60e-9
    ),
    "linux-slack1": TimerModel(
        70e-6, 0.31, spike=1e-3, spike_low=0.5e-3, spike_high=4.3e-3, read_cost=60e-9
    ),
    "macos": TimerModel(5e-6, 0.3, proportional=0.13, most=1.02e-3, read_cost=60e-9),
    "windows-hr": TimerModel(150e-6, 0.4, read_cost=60e-9),
    "windows-1ms": TimerModel(1.1e-3, 0.43, read_cost=60e-9),
    "windows-tick": TimerModel(tick=15.625e-3, read_cost=60e-9),
    "asyncio-epoll": TimerModel(125e-6, 0.23, granularity=1e-3, read_cost=60e-9),
    "asyncio-uvloop": TimerModel(125e-6, 0.23, granularity=1e-3, nearest=1.0, read_cost=60e-9),
}


def late_wakeups(timer: TimerModel, normal: NDArray[Any], uniform: NDArray[Any]) -> NDArray[Any]:
    """How late each sleep ends, s, from standard normal and uniform draws: the term `late` of the
    model.
    """
    import numpy as np

    late = timer.median * np.exp(timer.sigma * normal)
    if timer.spike > 0.0:
        spikes = timer.spike_low + (timer.spike_high - timer.spike_low) * (uniform / timer.spike)
        late = np.where(uniform < timer.spike, spikes, late)
    return late


def sleep_end(timer: TimerModel, start: float, seconds: float, late: float) -> float:
    """When a sleep begun at `start` ends, s (the first law of `TimerModel`)."""
    end = seconds
    if timer.granularity > 0.0:
        end = ceiled(seconds / timer.granularity) * timer.granularity
    end = start + (end + min(timer.proportional * seconds, timer.most) + late)
    if timer.tick > 0.0:
        end = ceiled(end / timer.tick) * timer.tick
    return end


def reads_until(base: float, reads: int, cost: float, deadline: float) -> int:
    """How many reads, counted from `base`, a spin loop has made when it sees the deadline passed.

    Read n shows `base + n * cost`; the loop stops at the first n > `reads` with `deadline - (base +
    n * cost) <= 0`. Solved for, then searched around by the loop's own comparison, so the answer is
    the loop's to the bit; `cost` must be positive. Far from 0 a float holds many reads.
    """
    high = max(reads + 1, int(ceiled((deadline - base) / cost)))
    low = high - 1  # that one does not see it, as a rule
    if low > reads and deadline - (base + low * cost) <= 0.0:
        low, high = reads, low
    while deadline - (base + high * cost) > 0.0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if deadline - (base + middle * cost) <= 0.0:
            high = middle
        else:
            low = middle
    return high


@record
class Wait(NamedTuple):
    """How a wait goes: `base + reads * read_cost` is its end, `spun` of it was spent reading the
    clock, s.

    >>> wait = plan_wait(TimerModel(), 0.0, 0, deadline=0.01, spin=0.001, late=[0.0], sleeps=0)
    >>> round(wait.spun, 12)
    0.001
    """

    base: float
    reads: int
    sleeps: int  #: number of the next sleep
    spun: float


def plan_wait(
    timer: TimerModel,
    base: float,
    reads: int,
    deadline: float,
    spin: float,
    late: Draws,
    sleeps: int,
) -> Wait:
    """The loop of `WallClock.wait`, begun after `reads` looks at a clock that stood at `base`,
    foreseen.

    `late[i]` is how late sleep i ends. The spin at the end is solved for (`reads_until`). With a
    clock that costs nothing a spin ends on the deadline. Not for the ideal timer:
    `plan_ideal_wait`.
    """
    cost = timer.read_cost
    while True:
        reads += 1
        now = base + reads * cost
        remaining = deadline - now
        if remaining <= 0.0:
            return Wait(base, reads, sleeps, 0.0)
        if remaining > spin:
            base = sleep_end(timer, now, remaining - spin, late[sleeps])
            reads = 0
            sleeps += 1
            if (
                base + cost == now
            ):  # a sleep too short to move the clock: what is left would never pass
                return Wait(deadline, 0, sleeps, remaining)
        elif cost > 0.0:
            reads = reads_until(base, reads, cost, deadline)
            return Wait(base, reads, sleeps, base + reads * cost - now)
        else:
            return Wait(deadline, 0, sleeps, remaining)


def plan_ideal_wait(now: float, deadline: float, spin: float) -> tuple[float, float]:
    """(end, seconds of it spent reading the clock) of a wait on the ideal timer: on the deadline.

    >>> plan_ideal_wait(1.0, 3.0, 0.5)
    (3.0, 0.5)
    """
    if deadline > now:
        return deadline, min(spin, deadline - now)
    return now, 0.0
