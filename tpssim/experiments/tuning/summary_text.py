"""The result of `tune` in words, part by part: what it proposes, how sure that is, its price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.core.statistics import CONFIDENCE, assumption
from tpssim.core.types import record
from tpssim.experiments.tuning.objectives import PENALTY, Sense
from tpssim.metrics.measure import METRICS
from tpssim.output import format
from tpssim.output.columns import columns
from tpssim.output.format import number
from tpssim.output.tables import Column, Table, Value, filled
from tpssim.output.verdict_words import WORDS

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate
    from tpssim.experiments.tuning.search import Axis, Setting
    from tpssim.experiments.tuning.selection import Change, Choice
    from tpssim.experiments.tuning.tried import Finalist, Outcome, Tried

LISTED = 5  # measures that became worse
WORSE = 1.1  # times the response at p99 of the default: so much is said in the first line
LESS_DONE = 0.01  # of the achievable: so much less is said there too
LABEL = 12  # characters before the text of a line that has a name
PARAMETERS = (
    Column("parameter", left=True),
    *map(Column, ("default", "tuned", "searched", "unit", "")),
)
MEASURES = {
    measure: column._replace(spread=True)
    for measure, column in columns("achieved", "swing", "response_p99", "churn").items()
}


@record
class Size(NamedTuple):
    """How much a search ran."""

    settings: int
    replications: int
    runs: int


def _three(value: float) -> str:
    return number(value, 3)


def _interval(e: Estimate) -> str:
    return format.bounds(e.mean, e.low, e.high, _three)


def _percent(share: float) -> str:
    return format.share(share, 1)


def _labelled(label: str, text: str) -> str:
    """A line with a name, its further lines under the text."""
    return filled(text, f"{label:<{LABEL - 1}} ", " " * LABEL)


def head(
    controller: str,
    scenarios: Sequence[str],
    robust: str,
    aims: Iterable[tuple[Sense, str]],
    size: Size,
    nothing: bool,
) -> str:
    """What was tuned, where, and for which objectives (how each is shown, its formula)."""
    n = len(scenarios)
    over = scenarios[0] if n == 1 else f"{n} scenarios, of which the {robust} counts"
    lines = []
    for shown, formula in aims:
        given = (
            f" = {formula}" if shown.better == "less" and formula not in ("", shown.name) else ""
        )
        lines.append(f"  {shown.name}{given} ({shown.better} is better)")
    found = "nothing did better, keep the default:" if nothing else "the best:"
    lines.append(
        f"{size.settings} settings x {size.replications} replications, {size.runs:,} runs in all;"
        f" {found}"
    )
    title = filled(f"{controller} tuned on {over}, for")
    return "\n".join([title, *(filled(line, further="    ") for line in lines)])


def warning(outcomes: Iterable[tuple[Outcome, ...]]) -> str:
    """What gets worse with the setting that is proposed, first of all: verdicts, what is achieved,
    and the response at p99; "" if nothing does. An objective may give up some of each for others.
    """
    found = []
    for before, after in outcomes:
        if WORDS.index(after.verdict) < WORDS.index(before.verdict):
            found.append(f"{before.verdict} becomes {after.verdict} on {after.scenario}")
        most, least = (one.measures["achieved"].mean for one in (before, after))
        if most is not None and least is not None and least < most - LESS_DONE:
            shown = f"achieved {_percent(most)} becomes {_percent(least)}"
            found.append(f"{shown} on {after.scenario}")
        old, new = (one.measures["response_p99"].mean for one in (before, after))
        if old is not None and (new is None or new > WORSE * old):
            shown = "none" if new is None else f"{_three(new)} s"
            found.append(f"p99 {_three(old)} s becomes {shown} on {after.scenario}")
    left = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return filled(f"WORSE with it: {'; '.join(found[:LISTED])}{left}", "", "  ") if found else ""


def gain(way: Sense, before: Estimate, after: Estimate, gained: Estimate, judged: str) -> str:
    """An objective of the default and of the chosen, and what is gained."""
    name = way.name if len(way.name) <= 20 else "objective"
    if judged == "default":
        return _labelled(name, "no setting was better than the default")
    if gained.mean is None or before.mean is None or after.mean is None:
        return _labelled(name, "no gain is known: the default or the chosen cannot be judged")
    old, new = way.of(before.mean), way.of(after.mean)
    percent = f" ({format.change(old, new)})" if old > 0.0 else ""
    word = "" if judged == "better" else f": {judged}"
    return _labelled(
        name,
        f"{number(old)} -> {number(new)}{percent}; gain {_interval(gained)}{word} "
        f"({assumption(gained.n, CONFIDENCE)})",
    )


def chosen(finalists: Sequence[Finalist], choice: Choice | None) -> str:
    """How the best was chosen among those that met fresh seeds."""
    standing = sum(one.standing for one in finalists)
    if choice is None:
        text = f"the knee of a front of {standing} settings, of those that were run on fresh seeds"
        return _labelled("chosen", text)
    n = len(finalists) - 1
    text = f"of {n} and the default by the mean of {choice.replications} fresh replications"
    if choice.within is not None and choice.standing:
        alike = f"; {standing - 1} of the others may do as well there" if standing > 1 else ""
        text += (
            f": in the median run at most {number(choice.within, 2)} worse than the best of them "
            f"({assumption(choice.replications, CONFIDENCE)}){alike}"
        )
    return _labelled("chosen", text)


def optimism(ways: Sequence[Sense], winner: Tried, tuned: Sequence[Estimate], curse: str) -> str:
    """What the search said of the chosen, and what fresh runs say; "" if it said nothing."""
    if winner.infeasible:
        return ""
    several = len(ways) > 1
    said = [
        f"{way.name + ' ' if several else ''}{number(way.of(found))}, fresh replications"
        f" {number(way.of(fresh.mean))}{curse}"
        for way, found, fresh in zip(ways, winner.losses, tuned, strict=True)
        if fresh.mean is not None
    ]
    return _labelled("optimism", f"of the chosen the search said {'; '.join(said)}") if said else ""


def curse(way: Sense, finalists: Sequence[Finalist], best: Setting) -> str:
    """What became of the search's own best, if it is another: both in the replications of the
    choice.
    """
    first = finalists[0]
    if first.point == best or first.fresh[0].mean is None:
        return ""
    own = next(one for one in finalists if one.point == best).fresh[0].mean
    of_chosen = "" if own is None else f" (for the chosen {number(way.of(own))})"
    return (
        f"; of its own best it said {number(way.of(first.search[0]))}, and the choice found "
        f"{number(way.of(first.fresh[0].mean))}{of_chosen}"
    )


def milestones(way: Sense, so_far: Sequence[float], stages: Sequence[str]) -> str:
    """The best loss until then, at a few places of the search."""
    screened = stages.count("screen") + 1
    marks = [(1, " (default)"), (screened, " (screen)")]
    left = len(so_far) - screened
    marks += [(screened + left * k // 4, "") for k in (1, 2, 3, 4) if left >= 4]
    said = []
    for at, stage in marks:
        loss = so_far[at - 1]
        said.append(
            f"{number(way.of(loss))} after {at}{stage}" if loss < PENALTY else f"nothing after {at}"
        )
    return _labelled("search", f"best {', '.join(said)}")


def parameters(axes: Iterable[Axis], given: Any, best: Setting, edges: Sequence[str]) -> str:
    """What was searched: the default and the chosen value of each parameter."""
    rows = [
        [
            axis.name,
            number(getattr(given, axis.name)),
            number(x),
            f"{axis.low:g} to {axis.high:g}{' log' if axis.log else ''}",
            axis.unit,
            "at the edge" if axis.name in edges else "",
        ]
        for axis, x in zip(axes, best, strict=True)
    ]
    note = ("", "A value at the edge: search a wider range (parameters).")
    return Table("", PARAMETERS, rows, [note] if edges else []).text()


def scenarios(outcomes: Sequence[tuple[Outcome, ...]]) -> str:
    """What the default and the chosen come to on each scenario."""
    rows: list[list[Value]] = []
    for pair in outcomes:
        for name, outcome in zip(("default", "tuned"), pair, strict=True):
            part = "" if outcome.share == 1.0 else f" {format.share(outcome.share)}"
            rows.append(
                [
                    outcome.scenario if name == "default" else "",
                    name,
                    f"{outcome.verdict}{part}",
                    *(outcome.measures[measure] for measure in MEASURES),
                ]
            )
    n = max(e.n + e.never for pair in outcomes for one in pair for e in one.measures.values())
    left = [Column(name, left=True) for name in ("scenario", "", "verdict")]
    return Table("", [*left, *MEASURES.values()], rows, [("±:", assumption(n))]).text()


def given_up(worse: Sequence[Change]) -> str:
    """Which measures became worse, each on the scenario where it became worst."""
    if not worse:
        return _labelled("given up", "nothing: no other measure became worse beyond chance")
    certain = f"intervals of the median run, {format.share(CONFIDENCE)} for all together"
    lines = [_labelled("given up", f"what became worse; {certain}")]
    names = list(dict.fromkeys(change.measure for change in worse))
    for measure in names[:LISTED]:
        of_it = [change for change in worse if change.measure == measure]
        more = f", and on {len(of_it) - 1} more" if len(of_it) > 1 else ""
        text = f"{_changed(max(of_it, key=_size))}{more}"
        lines.append(filled(text, f"  {measure:<16}", " " * 18))
    if len(names) > LISTED:
        lines.append(f"  and {format.count(len(names) - LISTED, 'more measure')}")
    return "\n".join(lines)


def _size(change: Change) -> tuple[int, float]:
    """What is never more often is worse than any number."""
    return change.never[1] - change.never[0], abs(change.difference.mean or 0.0)


def _changed(change: Change) -> str:
    before, after = change.never
    often = f"never in {after} of {change.pairs} runs (default: in {before} of {change.pairs})"
    if change.default is None or change.tuned is None:
        return f"{often} on {change.scenario}"
    unit = METRICS[change.measure].unit
    numbers = f"{_three(change.default)} -> {_three(change.tuned)} {unit}"
    interval = f"({_interval(change.difference)})"
    if before or after:
        return f"{often} on {change.scenario}, else {numbers} {interval}"
    return f"{numbers} on {change.scenario} {interval}"
