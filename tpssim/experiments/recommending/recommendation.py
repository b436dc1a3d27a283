"""The result of `recommend`: the answer, what to expect, what is given up, and the code."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tpssim.core.types import OK
from tpssim.core.validation import ranges
from tpssim.experiments.fitting.estimates import experiment
from tpssim.experiments.fitting.telling import checked_in_full, plant_of
from tpssim.experiments.recommending.candidates import GIVEN, PLAIN, TUNED
from tpssim.experiments.recommending.choice import behind, better_in
from tpssim.experiments.recommending.code import code, refuses_arrivals
from tpssim.experiments.recommending.promises import widened
from tpssim.experiments.recommending.services import Services
from tpssim.experiments.recommending.trials import Outcome
from tpssim.metrics.measure import METRICS
from tpssim.output import format, tables
from tpssim.output.recommend_words import expected_table, given_up_in_words, ranking_table
from tpssim.output.records import RecommendRecord
from tpssim.output.records import recommendations as parts
from tpssim.output.results_dir import plain
from tpssim.scenarios.in_words import in_words
from tpssim.scenarios.load import shown_target

if TYPE_CHECKING:
    from tpssim.experiments.fitting.held_out import Check
    from tpssim.output.plots import Figure
    from tpssim.scenarios.recordings.calls import Recording

EFFORTS = {PLAIN: "no controller", GIVEN: "as it is", TUNED: "tuned"}
#: What is told of a run: the measure, and whether less of it is better.
TOLD = {"goodput": False, "latency_p99": True, "regain_time": True, "wasted": True}
MISSED = 4  #: numbers of a wrong model that are named
SHOWN = 8  #: candidates in the table and the picture


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Recommendation:
    """Which law for a service; `print(found.table())`, `.code`, `.plot()`, `.record()`."""

    services: Services
    purpose: str
    winner: Outcome
    judged: tuple[Outcome, ...]  #: the finalists, on services and under noise of their own
    ranked: tuple[Outcome, ...]  #: all candidates on the services they were ranked on, best first
    seed: int

    @property
    def label(self) -> str:
        """The law with its parameters, as `controller=` takes it, or `no controller`."""
        return self.winner.candidate.label

    @property
    def tps(self) -> float | None:
        """The rate to ask for, 1/s; None where calls come by themselves or by stages."""
        own = self.services.likeliest.target
        found = self.winner.candidate.tps
        if found is not None or self.services.likeliest.arrivals is not None:
            return found
        return own if isinstance(own, float) else None

    @property
    def code(self) -> str:
        """Python to paste."""
        return code(self.winner.candidate, self.services.likeliest)

    def __repr__(self) -> str:
        return f"<Recommendation: {self.said()}>"

    def said(self) -> str:
        """The answer in a sentence."""
        name = self.services.likeliest.name
        if self.winner.candidate.law is None:
            rate = f"{self.tps:g}/s" if self.tps is not None else "as the load comes"
            return f"{name}, for {self.purpose}: no controller, {rate}"
        return f"{name}, for {self.purpose}: {self.winner.candidate.short()}, at {self._wanted()}"

    def _wanted(self) -> str:
        own = self.services.likeliest
        return "the times at which calls come" if own.arrivals is not None else shown_target(own)

    def reasons(self) -> list[str]:
        """Why it, and how far to trust it, in sentences."""
        fitted = self.services.fitted
        if self.services.fault:
            return _faulty(self.services.fault, bool(self.winner.runs))
        if self.services.wrong:
            assert fitted is not None
            assert self.services.check is not None
            return _wrong(self.services.check, fitted.recording, bool(self.winner.runs))
        found = [_why(self.winner, self.judged, self.ranked)]
        if fitted is not None and fitted.estimates["backend.servers"].is_bound():
            found.append(
                "The service was never full when it was recorded, so what it can take is not"
                " known: record it at a higher rate, and ask again."
            )
        if refuses_arrivals(self.winner.candidate, self.services.likeliest):
            found.append(_refused(self.winner, len(self.services.likeliest.arrivals or ())))
        return found

    def expected(self) -> list[parts.Expected]:
        """What a run of it comes to: of each number the median, and what 95 % of all further runs
        lie between. Nothing where the model is wrong.
        """
        return [] if self.services.wrong else list(self._of(self.winner).values())

    def _of(self, one: Outcome) -> dict[str, parts.Expected]:
        """What is expected of a candidate, by name."""
        found: dict[str, parts.Expected] = {}
        for name in TOLD:
            median, low, high = one.spread(name)
            if not math.isnan(median):
                services = self.services
                low, high = widened(name, low, high, services.check, services.likeliest.duration)
            found[name] = {
                "name": name,
                "unit": METRICS[name].unit,
                "median": plain(median),
                "low": plain(low),
                "high": plain(high),
            }
        return found

    def given_up(self) -> list[parts.GivenUp]:
        """Who is better in one number, by more than the runs leave open, and what that costs."""
        found: list[parts.GivenUp] = []
        if self.services.wrong:
            return found
        own = self._of(self.winner)
        pairs = len(TOLD) * (len(self.judged) - 1)
        for name, less in TOLD.items():
            ahead = [
                each
                for each in self.judged
                if each is not self.winner and better_in(name, less, self.winner, each, pairs)
            ]
            medians = {id(each): each.spread(name)[0] for each in ahead}
            if not ahead:
                continue
            best = (min if less else max)(ahead, key=lambda each: medians[id(each)])
            there, here = best.spread("goodput")[0], self.winner.spread("goodput")[0]
            found.append(
                {
                    "name": name,
                    "unit": METRICS[name].unit,
                    "label": best.candidate.short(),
                    "other": plain(medians[id(best)]),
                    "own": own[name]["median"],
                    "goodput": there / here if here > 0.0 else None,
                }
            )
        return found

    def ranking(self) -> list[parts.Ranked]:
        """The finalists, best first."""
        pairs = len(self.judged) - 1
        rows: list[parts.Ranked] = []
        for each in sorted(self.judged, key=lambda each: -each.mean()):
            lost = behind(each, self.winner, pairs)
            rows.append(
                {
                    "label": each.candidate.short(),
                    "effort": EFFORTS[each.candidate.effort],
                    "value": each.mean(),
                    "behind": lost.mean or 0.0,
                    "low": lost.low,
                    "high": lost.high,
                    "expected": self._of(each),
                }
            )
        return rows

    def table(self) -> str:
        """The answer for people, 80 columns wide."""
        lines = [tables.filled(self.said(), further="  "), *map(tables.filled, self.reasons())]
        lines += ["", f"  {self.code}".replace("\n", "\n  ").replace("  \n", "\n")]
        if self.services.wrong:
            return "\n".join(lines)
        lines += ["", expected_table(self.expected()).text(), *self._given_up_lines(), ""]
        return "\n".join([*lines, ranking_table(self.ranking()[:SHOWN]).text()])

    def _given_up_lines(self) -> list[str]:
        return [
            "",
            *(tables.filled(given_up_in_words(each), further="  ") for each in self.given_up()),
        ]

    def plot(self) -> Figure:
        """The finalists: goodput and the 99th percentile of the response, with their spread."""
        from tpssim.output import plots

        rows = sorted(self.judged, key=lambda each: -each.mean())
        rows = [self.winner, *(each for each in rows if each is not self.winner)][:SHOWN]
        return plots.recommend_figure(
            self.said(),
            [each.candidate.short() for each in rows],
            [each.spread("goodput") for each in rows],
            [each.spread("latency_p99") for each in rows],
            0,
        )

    def record(self) -> RecommendRecord:
        """All of it as plain data."""
        own = self.services.likeliest
        law = self.winner.candidate.law
        return RecommendRecord(
            purpose=self.purpose,
            said=self.said(),
            label=self.label,
            parameters={} if law is None else {name: getattr(law, name) for name in ranges(law)},
            tps=self.tps,
            reasons=self.reasons(),
            code=self.code,
            service=in_words(own) if self.services.fitted is None else self.services.fitted.line(),
            scenario=plain(plant_of(own)),
            seed=self.seed,
            chosen_on=0 if self.services.wrong else len(self.services.choosing),
            judged_on=0 if self.services.wrong else len(self.services.judging),
            replications=len(self.judged[0].runs) // len(self.services.judging)
            if self.judged
            else 0,
            expected=self.expected(),
            given_up=self.given_up(),
            ranking=self.ranking(),
            check=None if self.services.check is None else checked_in_full(self.services.check),
        )


def _wrong(check: Check, recording: Recording, asked: bool) -> list[str]:
    """That the model is wrong and by how much, what is named therefore, and what to do.

    `asked`: the model was, for want of a law that needs none.
    """
    missed = check.missed()
    more = f", and {len(missed) - MISSED} numbers more" if len(missed) > MISSED else ""
    span = max(float(recording.start[-1]), 1e-3)
    served = float((recording.outcome == OK).sum()) / span
    return [
        "The model that was fitted is wrong: under the recorded calls it does not do what was"
        f" recorded ({'; '.join(missed[:MISSED])}{more}). {_named(asked)}",
        "To learn the service, record it again at a rate that it can take most of the time, and ask"
        f" again: {experiment([('2m', 1.5 * served), ('1m', 0.0)])}",
    ]


def _faulty(fault: str, asked: bool) -> list[str]:
    """The same of a file whose check did not hold when it was fitted."""
    return [
        f"The file says that its model is wrong: {fault} {_named(asked)}",
        "To learn the service, record it again at a rate that it can take most of the time, fit it,"
        " and ask again.",
    ]


def _named(asked: bool) -> str:
    """What is named where the model is wrong."""
    named = (
        "is only the best of those given on a model that is wrong: ask with headroom among them."
        if asked
        else "is one that acts on what it observes and has to know nothing."
    )
    return f"So nothing is promised, and the law named {named}"


def _refused(winner: Outcome, came: int) -> str:
    """How many recorded arrivals are refused, and what that means for the code."""
    median, low, high = (format.share(number / came) for number in winner.spread("refused"))
    return (
        f"Of the calls that come {median} ({low} to {high}) are refused in the model, so that the"
        " others are in time. A throttle refuses none: the code leaves out itself what has waited"
        " for half of the deadline."
    )


def _why(winner: Outcome, judged: Sequence[Outcome], ranked: Sequence[Outcome]) -> str:
    """What speaks for it, against what takes more effort or less."""
    own, best = winner.mean(), max(judged, key=lambda each: each.mean())
    text = f"It scores {own:.2f}, where an oracle that knows the service scores 1"
    plain_best = max(
        (each for each in judged if each.candidate.effort == PLAIN), key=lambda each: each.mean()
    )
    if winner.candidate.effort != PLAIN:
        text += f"; without a controller at best {plain_best.mean():.2f}"
    if winner.candidate.effort == TUNED:
        name = winner.candidate.label.partition(":")[0]
        given = [each.mean() for each in judged if each.candidate.label == name]
        text += f", and with its own parameters {given[0]:.2f}" if given else ""
    elif best is not winner and best.candidate.effort == winner.candidate.effort:
        text += f"; {best.candidate.short()}, as good but for the noise, {best.mean():.2f}"
    elif best is not winner:
        text += (
            f"; {best.candidate.short()} scores {best.mean():.2f}, which is not worth the effort"
        )
    laws = sum(each.candidate.law is not None for each in ranked)
    return f"{text} (of {laws} laws; {len(winner.runs)} runs that had no part in the choice)."
