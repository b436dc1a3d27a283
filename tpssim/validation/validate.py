"""Is the simulation right? Every case of `known_answers`: theory compared with simulation.

A stochastic case holds if the theory lies in the 99.9 % confidence interval of its replications,
and the interval is at most 10 % of the value to either side. (Student's t: each replication is a
mean of thousands of calls, and so nearly normal.) A deterministic case holds if it is within its
tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tpssim.core.errors import no_such
from tpssim.core.statistics import mean_interval
from tpssim.core.types import record
from tpssim.output import format, records
from tpssim.output.records.predictions import Case
from tpssim.output.tables import Column, Table
from tpssim.validation.known_answers.cases import CASES
from tpssim.validation.known_answers.common import CONFIDENCE, WIDEST, Found
from tpssim.validation.vector_cases import Statistic


@record
class Outcome(NamedTuple):
    """A case, theory and simulation."""

    case: str
    quantity: str
    theory: float
    simulated: float
    low: float  #: of the confidence interval, or of the tolerated range
    high: float
    holds: bool
    calls: int
    parts: tuple[Statistic, ...] = ()  #: several numbers, each with its range, if the case has them

    def part(self) -> Case:
        """As it stands in a record."""
        return {
            "case": self.case,
            "quantity": self.quantity,
            "theory": self.theory,
            "simulated": self.simulated,
            "low": self.low,
            "high": self.high,
            "holds": self.holds,
            "calls": self.calls,
            "parts": [
                {"name": one.name, "value": one.value, "low": one.low, "high": one.high}
                for one in self.parts
            ],
        }


def validate(
    cases: Sequence[str] | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Run the cases (by default all) and say which hold; raises `InputError` for an unknown name.

    >>> validate(["ties"])[0].holds
    True
    """
    names = list(CASES) if cases is None else list(cases)
    for name in names:
        if name not in CASES:
            raise no_such("case", name, CASES)
    outcomes = []
    for done, name in enumerate(names, start=1):
        outcomes.append(judged(name, CASES[name].run(seed)))
        if progress is not None:
            progress(done, len(names))
    return outcomes


def judged(case: str, found: Found) -> Outcome:
    """Whether the theory holds."""
    theory, values = found.theory, found.values
    if len(values) == 1:
        simulated = values[0]
        low, high = theory - found.tolerance, theory + found.tolerance
        holds = low <= simulated <= high
        return Outcome(
            case, found.quantity, theory, simulated, low, high, holds, found.calls, found.parts
        )
    of = mean_interval(values, CONFIDENCE)
    assert of.mean is not None
    assert of.low is not None
    assert of.high is not None
    holds = of.low <= theory <= of.high and of.high - of.mean <= WIDEST * abs(theory)
    return Outcome(case, found.quantity, theory, of.mean, of.low, of.high, holds, found.calls)


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table."""
    columns = [
        Column("case", left=True),
        Column("quantity", left=True),
        *map(Column, ("theory", "simulated", "from", "to", "holds")),
    ]
    rows = [
        [
            o.case,
            o.quantity,
            *(format.number(x, 5) for x in (o.theory, o.simulated, o.low, o.high)),
            "yes" if o.holds else "NO",
        ]
        for o in outcomes
    ]
    return Table("", columns, rows).text()


def record_of(outcomes: Sequence[Outcome], seed: int) -> records.ValidateRecord:
    """The outcomes as plain data."""
    return records.ValidateRecord(
        seed=seed,
        confidence=CONFIDENCE,
        widest=WIDEST,
        cases={outcome.case: outcome.part() for outcome in outcomes},
    )
