"""What to tune for: a number for each run, of its measures; less is better.

An objective is a name of `OBJECTIVES`, a formula of these and of measures with + - * / and numbers, or a
function of the measures by name. A formula may use three numbers of the scenario: `target` (the wanted rate,
1/s), `achievable` (the mean achievable rate, 1/s) and `duration` (s). Where a measure and an objective bear
one name, a formula means the measure: `1 - achieved`.

A run whose objective is no finite number makes its point infeasible. So does a conflict between parameters,
or a law that raises. The loss of an infeasible point is `PENALTY` times (1 + the share of its runs without a
finite number): above that of every feasible one, and falling towards them.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tpssim import league
from tpssim.core import InputError, no_such
from tpssim.metrics import METRICS, frame_of
from tpssim.scenario import Scenario

PENALTY = 1e12
ROBUST = ("mean", "worst")

Measures = Mapping[str, float]
Function = Callable[[Measures], float]

#: name -> formula or function, less is better. The place to add one, such as a score of several measures.
OBJECTIVES: Mapping[str, str | Function] = {
    # the share of the achievable calls by which the throughput was off
    "tracking": "iae / (achievable * duration)",
    # the share of the achievable calls that were not made
    "achieved": "1 - achieved",
    # how much of the achievable rate the commanded one moves in a second
    "churn": "total_variation / achievable",
    # the 99th percentile of the response, in intervals of the achievable rate
    "latency": "response_p99 * achievable",
    # 100 intervals late weigh half as much as no call at all; a rate that moves fourfold in a second, as much
    "balanced": "tracking + churn / 4 + latency / (100 + latency)",
    # what is missing to the best score of the league
    "score": lambda measures: 1.0 - league.score(measures).total,
}

#: What an objective may use beside the measures, of the scenario.
CONSTANTS = ("target", "achievable", "duration")
_LONGEST = 400  # characters of a formula: as deep as it may be, it stays far from the recursion limit


class Objective(NamedTuple):
    """An objective: what it is called, its formula ("" for a function), and the function itself."""

    name: str
    formula: str
    function: Function

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a formula is compiled there anew."""
        known = self.name if self.name in OBJECTIVES else self.formula
        return (objective, (known,)) if known else (Objective, tuple(self))

    def of(self, measures: Measures) -> float:
        """Its value for one run; nan where there is none."""
        try:
            value = float(self.function(measures))
        except ZeroDivisionError:
            return math.nan
        return value if math.isfinite(value) else math.nan


def objective(given: str | Function) -> Objective:
    """The objective of that name, formula or function; raises `InputError`.

    >>> objective("iae / duration + 2 * errors").of({"iae": 30.0, "duration": 60.0, "errors": 0.25})
    1.0
    """
    if callable(given):
        return Objective(getattr(given, "__name__", type(given).__name__), "", given)
    if not isinstance(given, str):
        raise InputError(
            f"objective {given!r} is neither name, formula nor function; allowed: {', '.join(OBJECTIVES)}"
        )
    known = OBJECTIVES.get(given.strip())
    if callable(known):
        return Objective(given.strip(), "", known)
    text = (known or given).strip()
    return Objective(given.strip(), text, _parsed(text))


def _parsed(text: str) -> Function:
    if len(text) > _LONGEST:
        raise InputError(f"objective of {len(text)} characters; allowed: at most {_LONGEST}")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(
            f"objective {text!r} is no formula; allowed: {', '.join(OBJECTIVES)}, "
            "or measures with + - * / and numbers"
        ) from None
    function = _compiled(tree, text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not names - set(CONSTANTS):
        raise InputError(f"objective {text!r} names no measure; allowed: {', '.join(METRICS)}")
    return function


def _compiled(node: ast.expr, text: str) -> Function:
    """One node of a formula as a function; only what stands here is ever executed."""
    match node:
        case ast.Constant(value=float() as number) if math.isfinite(number):
            return lambda measures: number
        case ast.Constant(value=int() as whole) if not isinstance(whole, bool) and whole < 10**300:
            return lambda measures: float(whole)
        case ast.Name(id=name):
            if name in METRICS or name in CONSTANTS:
                return lambda measures: measures[name]
            if name in OBJECTIVES:
                return objective(name).function
            known = [*METRICS, *CONSTANTS, *(name for name in OBJECTIVES if name not in METRICS)]
            raise no_such("measure", name, known, f"objective {text!r}: ")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            inner = _compiled(operand, text)
            return (lambda measures: -inner(measures)) if isinstance(sign, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _compiled(left, text), _compiled(right, text)
            match op:
                case ast.Add():
                    return lambda measures: a(measures) + b(measures)
                case ast.Sub():
                    return lambda measures: a(measures) - b(measures)
                case ast.Mult():
                    return lambda measures: a(measures) * b(measures)
                case ast.Div():
                    return lambda measures: a(measures) / b(measures)
    part = ast.get_source_segment(text, node) or text
    raise InputError(
        f"objective {text!r}: {part!r} is not allowed; allowed: measures, numbers, + - * / and brackets"
    )


def constants(scenario: Scenario) -> dict[str, float]:
    """The numbers of a scenario that an objective may use."""
    calls = math.fsum(frame_of(scenario).phases[:, 2].tolist())
    return {"target": scenario.target, "achievable": calls / scenario.duration, "duration": scenario.duration}
