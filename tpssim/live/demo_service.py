"""The service of a scenario, live: `serve --service` answers each call as the model would.

The model itself decides (`simulation.call_lifecycle`): servers, places, limits, quotas, service
times, what changes, failures and the network. Here is only what tells it the time. Call k has the
noise of slot k of the first producer, so a run on the bench with the same seed meets the same.
"""

from __future__ import annotations

import heapq
import math

from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK
from tpssim.scenarios.disturbances import Background
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import COST, World
from tpssim.simulation.trace import COLUMNS


def _nothing(_: object) -> None:
    """Nobody waits for the model's calls: the client has its answer over HTTP."""


class PlayedService:
    """A scenario's service, whose time begins with the first call.

    >>> from tpssim.scenarios.plant import Backend
    >>> from tpssim.scenarios.service_times import Constant
    >>> two = Scenario("two", Constant(0.5), 4.0, 60.0, backend=Backend(servers=1.0, places=1.0))
    >>> service = PlayedService(two)
    >>> [service.answer(now, 1.0)[:2] for now in (7.0, 7.0, 7.25)]
    [(200, 7.5), (200, 8.0), (503, 7.75)]
    """

    def __init__(self, scenario: Scenario, seed: int = 0, replication: int = 0) -> None:
        """Raises `InputError` where other clients take a part of the service."""
        if any(isinstance(each, Background) for each in scenario.disturbances):
            raise InputError(
                f"{scenario.name}: other clients (background) cannot be served;"
                " allowed: a service without them"
            )
        self.scenario = scenario
        self.serving = Serving(World(scenario, seed, replication))
        self.first = math.nan
        self.calls = self.answered = self.rejected = 0
        self._leave: list[float] = []  # when each call inside leaves

    def answer(self, now: float, cost: float) -> tuple[int, float, float]:
        """Status, when the answer is due, how long from then until the caller is to come back."""
        if math.isnan(self.first):
            self.first = now
        t = now - self.first
        while self._leave and self._leave[0] <= t:
            heapq.heappop(self._leave)
            self.serving.inside -= 1
        row = [0.0] * len(COLUMNS)
        row[COST] = cost
        call = Call(0, self.calls, row, _nothing, _nothing)
        self.calls += 1
        done, outcome, inside = self.serving.answer(call, t)
        if inside and done < math.inf:
            heapq.heappush(self._leave, done)
        if outcome in (OK, FAILED):
            self.answered += 1
            return 200 if outcome == OK else 500, self.first + done, 0.0
        self.rejected += 1
        return 429 if inside else 503, self.first + done, call.retry_after

    def set_rate(self, rate: float) -> None:
        """A scenario's service changes as the scenario says."""
        raise InputError(f"rate={rate:g} of a scenario's service; allowed: its disturbances")

    def report(self) -> dict[str, float]:
        """What it has done so far."""
        return {"answered": self.answered, "rejected": self.rejected}
