"""The result of `tune` in words: one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tpssim import tables
from tpssim.core import exact
from tpssim.metrics import METRICS
from tpssim.tuning.objectives import PENALTY

if TYPE_CHECKING:
    from tpssim.statistics import Estimate
    from tpssim.tuning.selection import Change
    from tpssim.tuning.tune_result import TuneResult

LISTED = 5  # measures that became worse


def text(result: TuneResult) -> str:
    """The setting, what it gains, how sure that is, what it costs."""
    parts = [_head(result), _verdict(result), _parameters(result), _scenario_table(result), _given_up(result)]
    return "\n\n".join(part for part in parts if part)


def _interval(e: Estimate) -> str:
    if e.mean is None or e.low is None or e.high is None:
        return "-"
    return f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}]"


def _head(result: TuneResult) -> str:
    n = len(result.scenarios)
    over = result.scenarios[0].name if n == 1 else f"{n} scenarios, of which the {result.robust} counts"
    aims = [
        f"  {aim.name} = {aim.formula}" if aim.formula not in ("", aim.name) else f"  {aim.name}"
        for aim in result.objectives
    ]
    size = (
        f"{len(result.tried)} settings x {result.replications} replications, {result.runs:,} runs in all; "
        "the best:"
    )
    head = f"{result.controller} tuned on {over}; less is better of"
    return "\n".join([head, *aims, size, "", f"  {result.line()}"])


def _verdict(result: TuneResult) -> str:
    lines = []
    for aim, before, after, gain in zip(
        result.objectives, result.default, result.tuned, result.gain, strict=True
    ):
        name = aim.name if len(aim.name) <= 20 else "objective"
        if result.winner.point == result.finalists[-1].point:
            lines.append(f"{name:<12}no setting was better than the default")
        elif gain.mean is None or before.mean is None or after.mean is None:
            lines.append(f"{name:<12}no gain can be told: the default or the chosen cannot be judged")
        else:
            doubt = "" if gain.low is not None and gain.low > 0.0 else ": not certain"
            percent = f" ({-100.0 * gain.mean / before.mean:+.0f} %)" if before.mean > 0.0 else ""
            lines.append(
                f"{name:<12}{before.mean:.4g} -> {after.mean:.4g}{percent}; gain {_interval(gain)}{doubt} "
                f"({gain.n} fresh replications)"
            )
    lines.append(f"{'chosen':<12}{_how_chosen(result)}")
    several = len(result.objectives) > 1
    said = [
        f"{aim.name + ' ' if several else ''}{found:.4g}, fresh replications {fresh.mean:.4g}{_curse(result)}"
        for aim, found, fresh in zip(result.objectives, result.winner.losses, result.tuned, strict=True)
        if fresh.mean is not None and not result.winner.infeasible
    ]
    if said:
        lines.append(f"{'optimism':<12}of the chosen the search said {'; '.join(said)}")
    if len(result.objectives) == 1:
        lines.append(f"{'search':<12}{_milestones(result)}")
    return "\n".join(tables.filled(line, further=" " * 12) for line in lines)


def _curse(result: TuneResult) -> str:
    """What became of the search's own best, if it is another: both in the replications of the choice."""
    first = result.finalists[0]
    if result.choice is None or first.point == result.winner.point or first.fresh[0].mean is None:
        return ""
    chosen = next(one for one in result.finalists if one.point == result.winner.point)
    return (
        f"; of its own best it said {first.search[0]:.4g}, and the choice found {first.fresh[0].mean:.4g} "
        f"(for the chosen {chosen.fresh[0].mean:.4g})"
    )


def _how_chosen(result: TuneResult) -> str:
    if result.choice is None:
        return f"the knee of a front of {len(result.finalists) - 1} settings, each run on fresh seeds"
    n, standing = len(result.finalists), len(result.choice.standing)
    sure = f"{result.choice.confidence:.0%}" if result.choice.confidence < 0.995 else "above 99%"
    text = (
        f"of {n - 1} and the default after {result.choice.replications} fresh replications (Kim-Nelson): "
        f"within {result.choice.indifference:.2g} of the best with confidence {sure}"
    )
    return text if standing <= 1 else f"{text}; {standing} were still in the race"


def _milestones(result: TuneResult) -> str:
    best = result.so_far()
    stages = [row.stage for row in result.tried]
    screened = stages.count("screen") + 1
    marks = [(1, "default"), (screened, "screen")]
    left = len(best) - screened
    marks += [(screened + left * k // 4, "") for k in (1, 2, 3, 4) if left >= 4]
    said = (
        f"{best[at - 1]:.4g} after {at}{name and ' '}{name and f'({name})'}"
        if best[at - 1] < PENALTY
        else f"nothing after {at}"
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
                    f"{outcome.verdict} {outcome.share:.0%}",
                    tables.interval(outcome.measures["achieved"], 100.0, 1),
                    tables.interval(outcome.measures["swing"], 100.0, 0),
                    tables.interval(outcome.measures["response_p99"], 1.0, 3),
                    tables.interval(outcome.measures["total_variation"], 1.0, 2),
                )
            )
    header = ("scenario", "", "verdict", "achieved %", "swing %", "p99 s", "variation 1/s/s")
    return tables.starred(tables.aligned(header, rows, left=3))


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
        lines.append(f"  {measure:<16}{_changed(worst)}{more}")
    left = len({change.measure for change in result.worse}) - len(lines)
    if left:
        lines.append(f"  and {left} more measures")
    return "\n".join([f"{'given up':<12}what became worse, with simultaneous 95 % intervals", *lines])


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
