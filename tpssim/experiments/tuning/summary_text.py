"""The result of `tune` in words: one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tpssim.core.statistics import CONFIDENCE, assumption
from tpssim.core.validation import exact
from tpssim.experiments.tuning.objectives import PENALTY, Sense, sense
from tpssim.metrics.measure import METRICS
from tpssim.output import format, tables
from tpssim.output.verdict_words import WORDS

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate
    from tpssim.experiments.tuning.selection import Change
    from tpssim.experiments.tuning.tune_result import TuneResult

LISTED = 5  # measures that became worse
WORSE = 1.1  # times the response at p99 of the default: so much is said in the first line


def text(result: TuneResult) -> str:
    """The setting, what it gains, how sure that is, what it costs."""
    parts = [
        _head(result),
        _verdict(result),
        _parameters(result),
        _scenario_table(result),
        _given_up(result),
    ]
    return "\n\n".join(part for part in parts if part)


def _interval(e: Estimate) -> str:
    if e.mean is None or e.low is None or e.high is None:
        return "-"
    return f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}]"


def _head(result: TuneResult) -> str:
    n = len(result.scenarios)
    over = (
        result.scenarios[0].name
        if n == 1
        else f"{n} scenarios, of which the {result.robust} counts"
    )
    aims = []
    for aim in result.objectives:
        shown = sense(aim.name, aim.formula)
        formula = (
            f" = {aim.formula}"
            if shown.better == "less" and aim.formula not in ("", aim.name)
            else ""
        )
        aims.append(f"  {shown.name}{formula} ({shown.better} is better)")
    size = (
        f"{len(result.tried)} settings x {result.replications} replications, {result.runs:,} runs"
        " in all; "
    )
    size += "nothing did better, keep the default:" if result.keeps_default() else "the best:"
    head = tables.filled(f"{result.controller} tuned on {over}, for")
    told = [tables.filled(line, further="    ") for line in (*aims, size)]
    return "\n".join([*_warning(result), head, *told, "", f"  {result.line()}"])


def _warning(result: TuneResult) -> list[str]:
    """What gets worse with the setting that is proposed, first of all: verdicts, and the response
    at p99.
    """
    if result.winner.point == result.finalists[-1].point:
        return []
    found = []
    for before, after in result.outcomes:
        if WORDS.index(after.verdict) < WORDS.index(before.verdict):
            found.append(f"{before.verdict} becomes {after.verdict} on {after.scenario}")
        old, new = (one.measures["response_p99"] for one in (before, after))
        if old.mean is not None and (new.mean is None or new.mean > WORSE * old.mean):
            shown = "none" if new.mean is None else f"{new.mean:.3g} s"
            found.append(f"p99 {old.mean:.3g} s becomes {shown} on {after.scenario}")
    left = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return (
        [tables.filled(f"WORSE with it: {'; '.join(found[:LISTED])}{left}", further="  ")]
        if found
        else []
    )


def _verdict(result: TuneResult) -> str:
    lines = []
    for aim, before, after, gain, judged in zip(
        result.objectives,
        result.default,
        result.tuned,
        result.gain,
        result.judgements(),
        strict=True,
    ):
        shown = sense(aim.name, aim.formula)
        name = f"{shown.name if len(shown.name) <= 20 else 'objective':<11} "
        if judged == "default":
            lines.append(f"{name}no setting was better than the default")
        elif gain.mean is None or before.mean is None or after.mean is None:
            lines.append(f"{name}no gain is known: the default or the chosen cannot be judged")
        else:
            old, new = shown.of(before.mean), shown.of(after.mean)
            percent = f" ({100.0 * (new - old) / old:+.0f} %)" if old > 0.0 else ""
            word = "" if judged == "better" else f": {judged}"
            lines.append(
                f"{name}{old:.4g} -> {new:.4g}{percent}; gain {_interval(gain)}{word} "
                f"({assumption(gain.n, CONFIDENCE)})"
            )
    lines.append(f"{'chosen':<12}{_how_chosen(result)}")
    several = len(result.objectives) > 1
    said = [
        f"{way.name + ' ' if several else ''}{way.of(found):.4g}, fresh replications"
        f" {way.of(fresh.mean):.4g}{_curse(result)}"
        for way, found, fresh in zip(
            _senses(result), result.winner.losses, result.tuned, strict=True
        )
        if fresh.mean is not None and not result.winner.infeasible
    ]
    if said:
        lines.append(f"{'optimism':<12}of the chosen the search said {'; '.join(said)}")
    if len(result.objectives) == 1:
        lines.append(f"{'search':<12}{_milestones(result)}")
    return "\n".join(tables.filled(line, further=" " * 12) for line in lines)


def _curse(result: TuneResult) -> str:
    """What became of the search's own best, if it is another: both in the replications of the
    choice.
    """
    first = result.finalists[0]
    if result.choice is None or first.point == result.winner.point or first.fresh[0].mean is None:
        return ""
    chosen = next(one for one in result.finalists if one.point == result.winner.point)
    way, own = _senses(result)[0], chosen.fresh[0].mean
    of_chosen = "" if own is None else f" (for the chosen {way.of(own):.4g})"
    return (
        f"; of its own best it said {way.of(first.search[0]):.4g}, and the choice found "
        f"{way.of(first.fresh[0].mean):.4g}{of_chosen}"
    )


def _senses(result: TuneResult) -> list[Sense]:
    """How each objective is shown."""
    return [sense(aim.name, aim.formula) for aim in result.objectives]


def _how_chosen(result: TuneResult) -> str:
    standing = sum(one.standing for one in result.finalists)
    if result.choice is None:
        return f"the knee of a front of {standing} settings, of those that were run on fresh seeds"
    n, choice = len(result.finalists), result.choice
    text = f"of {n - 1} and the default by the mean of {choice.replications} fresh replications"
    if choice.within is None or not choice.standing:
        return text
    alike = f"; {standing - 1} of the others may do as well there" if standing > 1 else ""
    return (
        f"{text}: in the median run at most {choice.within:.2g} worse than the best of them "
        f"({assumption(choice.replications, CONFIDENCE)}){alike}"
    )


def _milestones(result: TuneResult) -> str:
    best, way = result.so_far(), _senses(result)[0]
    stages = [row.stage for row in result.tried]
    screened = stages.count("screen") + 1
    marks = [(1, "default"), (screened, "screen")]
    left = len(best) - screened
    marks += [(screened + left * k // 4, "") for k in (1, 2, 3, 4) if left >= 4]
    said = (
        (
            f"{way.of(best[at - 1]):.4g} after {at}{name and ' '}{name and f'({name})'}"
            if best[at - 1] < PENALTY
            else f"nothing after {at}"
        )
        for at, name in marks
    )
    return "best " + ", ".join(said)


def _parameters(result: TuneResult) -> str:
    rows = []
    edges = result.at_edges()
    for axis, x in zip(result.axes, result.winner.point, strict=True):
        value = x
        edge = "at the edge" if f"{axis.name}={exact(value)}" in edges else ""
        searched = f"{axis.low:g} to {axis.high:g}{' log' if axis.log else ''}"
        rows.append(
            (
                axis.name,
                f"{getattr(result.given, axis.name):.4g}",
                f"{value:.4g}",
                searched,
                axis.unit,
                edge,
            )
        )
    text = tables.aligned(("parameter", "default", "tuned", "searched", "unit", ""), rows, left=1)
    return text + ("\nA value at the edge: search a wider range (parameters)." if edges else "")


def _scenario_table(result: TuneResult) -> str:
    rows = []
    for pair in result.outcomes:
        for name, outcome in zip(("default", "tuned"), pair, strict=True):
            rows.append(
                (
                    outcome.scenario if name == "default" else "",
                    name,
                    f"{outcome.verdict}{'' if outcome.share == 1.0 else f' {outcome.share:.0%}'}",
                    format.interval(outcome.measures["achieved"], 1, 100.0),
                    format.interval(outcome.measures["swing"], 0, 100.0),
                    format.interval(outcome.measures["response_p99"], 3),
                    format.interval(outcome.measures["churn"], 1, 100.0),
                )
            )
    header = ("scenario", "", "verdict", "achieved\n%", "swing\n%", "p99\ns", "churn\n%/s")
    n = max(
        e.n + e.never for pair in result.outcomes for one in pair for e in one.measures.values()
    )
    note = tables.filled(f"±: {assumption(n)}", further="   ")
    return f"{tables.aligned(header, rows, left=3)}\n{note}"


def _given_up(result: TuneResult) -> str:
    if result.winner.point == result.finalists[-1].point:
        return ""
    if not result.worse:
        return f"{'given up':<12}nothing: no other measure became worse beyond chance"
    lines = []
    for measure in list(dict.fromkeys(change.measure for change in result.worse))[:LISTED]:
        of_it = [change for change in result.worse if change.measure == measure]
        worst = max(of_it, key=_size)
        more = f", and on {len(of_it) - 1} more" if len(of_it) > 1 else ""
        lines.append(tables.filled(f"  {measure:<16}{_changed(worst)}{more}", further=" " * 18))
    left = len({change.measure for change in result.worse}) - len(lines)
    if left:
        lines.append(f"  and {left} more measure{'s' * (left > 1)}")
    head = f"what became worse; intervals of the median run, {CONFIDENCE:.0%} for all together"
    return "\n".join([tables.filled(f"{'given up':<12}{head}", further=" " * 12), *lines])


def _size(change: Change) -> tuple[int, float]:
    """What is never more often is worse than any number."""
    return change.never[1] - change.never[0], abs(change.difference.mean or 0.0)


def _changed(change: Change) -> str:
    before, after = change.never
    often = f"never in {after} of {change.pairs} runs (default: in {before} of {change.pairs})"
    if change.default is None or change.tuned is None:
        return f"{often} on {change.scenario}"
    numbers = f"{change.default:.3g} -> {change.tuned:.3g} {METRICS[change.measure].unit}"
    interval = f"({_interval(change.difference)})"
    if before or after:
        return f"{often} on {change.scenario}, else {numbers} {interval}"
    return f"{numbers} on {change.scenario} {interval}"
