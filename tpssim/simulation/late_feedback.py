"""A control plane between calls and a law: it sums them up over a period, and passes them on."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

from tpssim.core.pacer import Pacer
from tpssim.core.types import Observation
from tpssim.core.window import CAPACITY, Sensor, collected, opened, summed_up
from tpssim.scenarios.feedback import Feedback, period_end
from tpssim.simulation.environment import WINDOW, World

#: Of one producer at equal times: the end of a period, what reaches the law, its own window.
PERIOD, REACHED, OWN = range(3)


def window_priority(index: int, what: int) -> int:
    """The order of what concerns windows at one moment."""
    return WINDOW + (index << 2) + what


class ControlPlane:
    """What the law of one producer observes late; its pacer counts the calls in flight at once."""

    def __init__(
        self,
        world: World,
        feedback: Feedback,
        pacer: Pacer,
        index: int,
        reached: Callable[[], None],
    ) -> None:
        self.world = world
        self.feedback = feedback
        self.pacer = pacer
        self.index = index
        self.sensor = Sensor(feedback.period)
        self.latencies = array("d", [0.0]) * CAPACITY
        self.periods = 0
        self.reached = reached  # called when the law has observed something
        self._begin()
        if feedback.period > 0.0:
            self._watch()

    def _begin(self) -> None:
        self.window = opened(self.world.env._now)
        self.refusals = self.refused_lag = self.refused_in_flight = 0.0

    def settled(
        self, now: float, latency: float, lag: float, errors: float, drops: float, in_flight: float
    ) -> None:
        """A call is over."""
        pacer = self.pacer
        pacer.forgotten()
        peak = float(pacer.peak)
        pacer.peak = pacer.flying
        obs = Observation(now, pacer.target, latency, lag, 1.0, errors, in_flight, drops, 0.0, peak)
        self.window = collected(self.window, obs, self.latencies)
        self._pass_on_at_once()

    def refused(self, now: float) -> None:
        """A slot's call was refused locally."""
        self.refusals += 1.0
        self.refused_lag += now - self.pacer.deadline
        self.refused_in_flight = max(self.refused_in_flight, float(self.pacer.flying))
        self._pass_on_at_once()

    def _pass_on_at_once(self) -> None:
        if self.feedback.period == 0.0:
            self._pass_on()

    def _watch(self) -> None:
        end = period_end(self.feedback, self.pacer.start, float(self.periods))
        self.world.at(end, window_priority(self.index, PERIOD), self._period)

    def _period(self, _: object) -> None:
        """A period is over."""
        self.periods += 1
        self._pass_on()
        self._watch()

    def _pass_on(self) -> None:
        """Send on what was summed up."""
        summary = self._summary()
        if summary is None:
            return
        self._begin()
        if self.feedback.delay > 0.0:
            due = self.world.env._now + self.feedback.delay
            priority = window_priority(self.index, REACHED)
            self.world.at(due, priority, lambda _: self._reach(summary))
        else:
            self._reach(summary)

    def _summary(self) -> Observation | None:
        """What was summed up; None if there is nothing."""
        if self.window.calls > 0.0:
            found = summed_up(self.sensor, self.window, self.latencies, 0.0, 0.0, 0.5)
            return found._replace(refusals=self.refusals)
        if self.refusals > 0.0:
            lag = self.refused_lag / self.refusals
            return Observation(
                0.0, 0.0, math.nan, lag, 0.0, 0.0, self.refused_in_flight, 0.0, self.refusals
            )
        return None

    def _reach(self, summary: Observation) -> None:
        """It reaches the law."""
        self.pacer.reported(self.world.env._now, summary)
        self.reached()
