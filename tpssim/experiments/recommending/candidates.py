"""Who may be recommended: every law that can act on a service, and rates that need no law."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.profiles import Stages
from tpssim.core.types import record
from tpssim.core.validation import ranges, replaced
from tpssim.experiments.league import acts
from tpssim.scenarios.capacity import capacity, phases
from tpssim.scenarios.load import mean_cost
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.oracle import NAME as ORACLE
from tpssim.simulation.resolve import throttle_spec

PLAIN, GIVEN, TUNED = range(3)  #: how much there is to it: no law, a law as it is, a tuned one
BELOW_A_QUOTA = 0.98  #: share of a known quota at which calls are sent
BELOW_CAPACITY = 0.9  #: share of the least capacity: what waits grows without bound at all of it


@record
class Candidate(NamedTuple):
    """Who is tried: a law, or none at a rate of its own.

    >>> Candidate("no controller, tps=8.3", PLAIN, None, 8.3, "0.98 of the quota").tps
    8.3
    """

    label: str
    effort: int  #: `PLAIN`, `GIVEN` or `TUNED`
    law: Any  #: its record; None: no law
    tps: float | None  #: the wanted rate, 1/s; None: the scenario's
    because: str = ""  #: where a rate comes from

    def short(self) -> str:
        """A label that fits into a table: what was tuned says so, in place of its parameters."""
        name = self.label.partition(":")[0]
        return f"{name}, tuned" if self.effort == TUNED else self.label


def law(given: Any, effort: int = GIVEN) -> Candidate:
    """A law as a candidate; raises `InputError`."""
    spec = throttle_spec(given)
    if spec.law is None or spec.name in (ORACLE, "fixed"):
        tried = "; no law is tried anyway" if spec.name == "fixed" else ""
        raise InputError(f"{spec.label}; allowed: a law such as aimd, or its record{tried}")
    return Candidate(spec.label, effort, spec.law, None)


def given_laws(given: Iterable[Any], scenario: Scenario) -> list[Candidate]:
    """Laws that were asked for, all of which can act there; raises `InputError`."""
    found = list(dict.fromkeys(law(one) for one in given))
    for one in found:
        actuators = throttle_spec(one.law).actuators()
        if not acts(actuators, scenario):
            raise InputError(
                f"{one.label} on {scenario.name}: its {' and '.join(actuators)} cannot act there;"
                " allowed: a law with a rate"
            )
    return found


def tunable(one: Candidate) -> bool:
    """Whether it is a law with a parameter that says where to look for its best value."""
    if one.law is None:
        return False
    return any(each.search is not None for each in ranges(one.law).values())


def tuned(best: Any, before: Any) -> Candidate | None:
    """A law that was tuned, what was changed in three digits: more of them mean nothing. None if
    nothing is left of the change.
    """
    name, known = throttle_spec(best).name, ranges(best)
    numbers = {}
    for field in known:
        value = getattr(best, field)
        if value != getattr(before, field):
            rounded = float(f"{value:.3g}")
            inside = known[field].low <= rounded <= known[field].high
            numbers[field] = rounded if inside else value
    made = replaced(before, name, numbers)
    return None if made == before else law(made, TUNED)


def laws(scenario: Scenario) -> list[Candidate]:
    """Every law whose actuator acts there, with its own parameters; `fixed` is `plain`'s."""
    found = [law(name) for name in CONTROLLERS if name != "fixed"]
    return [one for one in found if acts(throttle_spec(one.law).actuators(), scenario)]


def plain(scenario: Scenario) -> list[Candidate]:
    """Rates that need no law: as wanted, just below each quota, and below the least capacity.

    Only as wanted where the load has a shape of its own (calls that come by themselves, stages), or
    where several producers share what there is.
    """
    shaped = scenario.arrivals is not None or scenario.poisson > 0.0 or len(scenario.producers) > 1
    found = [_plain(None, "as wanted")]
    wanted = scenario.target
    if shaped or isinstance(wanted, Stages):
        return found
    for rate, because in _rates(scenario):
        rate = rounded_down(rate)
        if 0.0 < rate < wanted and all(rate != other.tps for other in found):
            found.append(_plain(rate, because))
    return found


def _plain(tps: float | None, because: str) -> Candidate:
    shown = "no controller" if tps is None else f"no controller, tps={tps:g}"
    return Candidate(shown, PLAIN, None, tps, because)


def _rates(scenario: Scenario) -> list[tuple[float, str]]:
    """Rates in calls or cost, as the target is, and where they come from."""
    unit, found = mean_cost(scenario), []
    for quota in scenario.backend.quotas:
        rate = quota.amount / quota.per * (unit if quota.of == "calls" else 1.0)
        window = f"{quota.amount:g} {quota.of} in {quota.per:g} s"
        found.append((BELOW_A_QUOTA * rate, f"{BELOW_A_QUOTA:g} of the quota of {window}"))
    if math.isfinite(scenario.backend.rate):
        most = f"the {scenario.backend.rate:g}/s that it takes"
        found.append((BELOW_A_QUOTA * scenario.backend.rate * unit, f"{BELOW_A_QUOTA:g} of {most}"))
    able = [capacity(scenario, (start + end) / 2.0) for start, end in phases(scenario)]
    least = min((rate for rate in able if rate > 0.0), default=0.0)
    if math.isfinite(least):
        found.append((BELOW_CAPACITY * least * unit, f"{BELOW_CAPACITY:g} of the least capacity"))
    return found


def rounded_down(rate: float) -> float:
    """Three digits of a rate, and never more than it.

    >>> rounded_down(8.3333), rounded_down(1234.0), rounded_down(0.0)
    (8.33, 1230.0, 0.0)
    """
    if not 0.0 < rate < math.inf:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return float(f"{math.floor(rate / step + 1e-9) * step:.3g}")
