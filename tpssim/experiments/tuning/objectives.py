"""What to tune for: a number for each run, of its measures; less is better.

An objective is a name of `OBJECTIVES`, a measure, a formula of these and of measures with + - * /
and numbers, or a function of the measures by name. A formula may use three numbers of the scenario,
`target` (the wanted rate, 1/s), `achievable` (the mean achievable rate, 1/s) and `duration` (s),
and the league's `score`.

Each measure has one sense (`METRICS`: more or less is better). A measure alone is taken in its own:
of `achieved` what is missing to 1, which then is what is named. In a formula a measure is its plain
value, and less of the formula is better; one in which that makes a measure worse, or that only has
measures without a sense, is refused unless it says which way is better: `max: achieved - churn`,
`min: period`.

A run whose objective is no finite number makes its point infeasible. So does a conflict between
parameters, or a law that raises. The loss of an infeasible point is `PENALTY` times (1 + the share
of its runs without a finite number): above that of every feasible one, and falling towards them.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.types import record
from tpssim.metrics.measure import METRICS, frame_of
from tpssim.output.records import searches as parts
from tpssim.scenarios.load import peak
from tpssim.scenarios.scenario import Scenario

PENALTY = 1e12
ROBUST = ("mean", "worst")

Measures = Mapping[str, float]
Function = Callable[[Measures], float]

#: name -> formula, less is better. The place to add one.
OBJECTIVES: Mapping[str, str] = {
    # the share of the achievable calls by which the throughput was off
    "tracking": "iae / (achievable * duration)",
    # the share of the achievable calls that were not made
    "achieved": "1 - achieved",
    # how much the law moves in a second: of the achievable rate, of its mean limit, or of all slots
    "churn": "churn",
    # the 99th percentile of the response, in intervals of the achievable rate
    "latency": "response_p99 * achievable",
    # 100 intervals late weigh half as much as no call at all; a rate that moves fourfold in a
    # second, as much
    "balanced": "tracking + churn / 4 + latency / (100 + latency)",
    # what is missing to the best score of the league
    "score": "1 - score",
}

#: What the numbers of these are, for the axes of pictures.
UNITS: Mapping[str, str] = {
    "tracking": "share of the achievable calls",
    "1 - achieved": "share of the achievable calls",
    "latency": "intervals of the achievable rate",
    "balanced": "shares in sum",
    "1 - score": "what is missing to the best",
}

#: What an objective may use beside the measures, of the scenario.
CONSTANTS = ("target", "achievable", "duration")
SCORE = "score"  #: of the league, for which the oracle runs on the same noise
SIGNED = ("steady_error", "drift")  # measures that may be negative
WAYS = ("min", "max")
#: Characters of a formula: as deep as it may be, it stays far from the recursion limit.
_LONGEST = 400


@record
class Objective(NamedTuple):
    """An objective: what it is called, its formula ("" for a function), and the function itself.

    One that stands for a measure, but is another number, is called by its formula.
    """

    name: str
    formula: str
    function: Function

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a formula is compiled again there; a function travels, whatever its
        name.
        """
        return (_again, (self.name, self.formula)) if self.formula else (Objective, tuple(self))

    def scored(self) -> bool:
        """Whether it needs the score.

        >>> objective("score").scored(), objective("iae").scored()
        (True, False)
        """
        return re.search(rf"\b{SCORE}\b", self.formula) is not None

    def of(self, measures: Measures) -> float:
        """Its value for one run; nan where there is none."""
        try:
            value = float(self.function(measures))
        except ZeroDivisionError:
            return math.nan
        return value if math.isfinite(value) else math.nan


@record
class Sense(NamedTuple):
    """How a loss is shown: as the plain value of what is searched for, in the sense it has
    everywhere.
    """

    name: str
    better: str  #: less or more
    start: float
    sign: float

    def part(self) -> parts.Sense:
        """As it stands in a record."""
        return {"name": self.name, "better": self.better, "start": self.start, "sign": self.sign}

    def of(self, loss: float) -> float:
        """The value that is shown: `start + sign * loss`."""
        return self.start + self.sign * loss


def sense(name: str, formula: str) -> Sense:
    """The sense of an objective of that name and formula.

    >>> sense("1 - score", "1 - score"), round(sense("1 - score", "1 - score").of(0.4064), 4)
    (Sense(name='score', better='more', start=1.0, sign=-1.0), 0.5936)
    >>> sense("throughput", "-throughput").of(-80.0), sense("churn", "churn").better
    (80.0, 'less')
    """
    plain = formula.removeprefix("1 - ")
    if plain != formula and plain in ("score", *METRICS):
        return Sense(plain, "more", 1.0, -1.0)
    if formula.startswith("-") and formula[1:] in METRICS:
        return Sense(formula[1:], "more", 0.0, -1.0)
    return Sense(name, "less", 0.0, 1.0)


def objective(given: str | Function) -> Objective:
    """The objective of that name, formula or function; raises `InputError`.

    >>> objective("iae / duration + 2 * errors").of({"iae": 30.0, "duration": 60.0, "errors": 0.25})
    1.0
    """
    if callable(given):
        return Objective(getattr(given, "__name__", type(given).__name__), "", given)
    if not isinstance(given, str):
        raise InputError(
            f"objective {given!r} is neither name, formula nor function; allowed:"
            f" {', '.join(OBJECTIVES)}"
        )
    name = given.strip()
    if len(name) > _LONGEST:
        raise InputError(f"objective of {len(name)} characters; allowed: at most {_LONGEST}")
    way, colon, inner = (part.strip() for part in name.partition(":"))
    if colon and way in WAYS:
        text = inner if way == "min" else f"-{inner}" if inner in METRICS else f"-({inner})"
        _parsed(inner)  # what is wrong with it is said in its own words
        return Objective(text, text, _parsed(text))
    text = OBJECTIVES.get(name, name)
    if name in METRICS and METRICS[name].better == "more" and name not in OBJECTIVES:
        text = f"-{name}"
    function = _parsed(text)
    _check_sense(text)
    return Objective(text if name in (*METRICS, "score") else name, text, function)


def _again(name: str, formula: str) -> Objective:
    return Objective(name, formula, _parsed(formula))


def _check_sense(text: str) -> None:
    """Refuse a formula that is better for less of what is better when more, or does not say."""
    _, trends = _trend(ast.parse(text, mode="eval").body)
    wrong = {"more": 1, "less": -1}
    said = f"allowed: 'max: {text}' or 'min: {text}', which say which way is better"
    senses = {name: _better(name) for name in trends}
    for name, trend in trends.items():
        if trend and trend == wrong.get(senses[name]):
            other = "'1 - achieved' in place of achieved, " if name == "achieved" else ""
            raise InputError(
                f"objective {text!r}: less of a formula is better, and this makes {name} worse, of"
                f" which {senses[name]} is better;"
                f" {said.replace('allowed: ', f'allowed: {other}', 1)}"
            )
    if not any(senses.values()):
        raise InputError(
            f"objective {text!r}: of {', '.join(trends)} neither more nor less is better; {said}"
        )


def _better(name: str) -> str:
    """Which way a name of a formula is better."""
    if name in METRICS:
        return METRICS[name].better
    return "more" if name == "score" else "less"


def _trend(node: ast.expr) -> tuple[int, dict[str, int]]:
    """(sign of a node's value, whether it grows or falls with each of its names); 0 if that
    depends.
    """
    match node:
        case ast.Constant(value=float() | int() as number):
            return (1 if number >= 0 else -1), {}
        case ast.Name(id=name):
            return (0 if name in SIGNED else 1), ({} if name in CONSTANTS else {name: 1})
        case ast.UnaryOp(op=op, operand=operand):
            sign, inner = _trend(operand)
            return (-sign, _times(inner, -1)) if isinstance(op, ast.USub) else (sign, inner)
        case ast.BinOp(left=left, op=op, right=right):
            (a, of_left), (b, of_right) = _trend(left), _trend(right)
            if isinstance(op, ast.Add | ast.Sub):
                way = 1 if isinstance(op, ast.Add) else -1
                return (a if a == way * b else 0), _both(of_left, _times(of_right, way))
            way = 1 if isinstance(op, ast.Mult) else -1
            return a * b, _both(_times(of_left, b), _times(of_right, way * a))
    raise AssertionError("a formula that was compiled has no other node")


def _times(trends: Mapping[str, int], sign: int) -> dict[str, int]:
    return {name: sign * trend for name, trend in trends.items()}


def _both(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """Of a sum: what grows on one side and falls on the other depends."""
    alike = {name: trend for name, trend in a.items() if b.get(name, trend) == trend}
    return {**dict.fromkeys(a, 0), **{n: t for n, t in b.items() if n not in a}, **alike}


def distinguished(objectives: Sequence[Objective]) -> list[Objective]:
    """Objectives of different names: two functions of one name, such as two lambdas, are numbered.

    Raises `InputError` for one that is given twice.
    """
    for first, second in itertools.combinations(objectives, 2):
        if first.function is second.function or first.formula == second.formula != "":
            raise InputError(f"objective {second.name!r} is given twice; allowed: once")
    names = [one.name for one in objectives]
    return [
        one if names.count(one.name) == 1 else one._replace(name=f"{one.name} {number}")
        for number, one in enumerate(objectives, start=1)
    ]


def _parsed(text: str) -> Function:
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
        raise InputError(f"objective {text!r} names no measure; allowed: {all_of('metrics')}")
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
            if name == SCORE:
                return lambda measures: measures[SCORE]
            if name in OBJECTIVES:
                return _parsed(OBJECTIVES[name])
            known = [*METRICS, *CONSTANTS, *(name for name in OBJECTIVES if name not in METRICS)]
            shown = f"{', '.join(OBJECTIVES)}, or {all_of('metrics')}"
            raise no_such("measure", name, known, f"objective {text!r}: ", shown)
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
        f"objective {text!r}: {part!r} is not allowed; allowed: measures, numbers, + - * / and"
        " brackets"
    )


def constants(scenario: Scenario) -> dict[str, float]:
    """The numbers of a scenario that an objective may use."""
    calls = math.fsum(frame_of(scenario).phases[:, 2].tolist())
    return {
        "target": peak(scenario),
        "achievable": calls / scenario.duration,
        "duration": scenario.duration,
    }
