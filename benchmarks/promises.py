"""How often what the package claims was so: each claim tried on losses whose truth is known.

    python benchmarks/promises.py            # 1,000 trials each: the table of docs/statistics.md
    python benchmarks/promises.py --smoke    # 20 trials each: whether it runs

Every row calls the function that makes the printed number. How often an interval is right is
counted where there is one; how often a word is, in all trials, since that it is not said is a part
of the claim. The last rows are of what is *not* claimed.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest

from tpssim.core.statistics import CONFIDENCE, EACH, Estimate, mean_interval, unseen
from tpssim.experiments.cells import Cell, Run
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.league import League
from tpssim.experiments.sweep.rows import Row
from tpssim.experiments.tuning import selection, sensitivity, tune
from tpssim.experiments.tuning.tune_result import judgement
from tpssim.metrics.measure import METRICS
from tpssim.metrics.verdicts import Verdict
from tpssim.output import format
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.simulation.oracle import NAME as ORACLE

TRIALS, SMOKE = 1000, 20
BIG = 20_001  # runs that the truth of a distribution is taken from

Array = np.ndarray[Any, np.dtype[np.float64]]
#: Losses of settings (rows) by run (columns) from a source of noise.
Losses = Callable[[np.random.Generator, int], Array]
#: Of one trial: for each thing that is claimed, whether anything is, and whether it is so.
Trial = Callable[[int], Sequence[tuple[bool, bool]]]


class Promise(NamedTuple):
    """A claim on one kind of loss."""

    claim: str
    case: str
    stated: float | None  #: None: nothing is claimed
    trial: Trial
    always: bool = False  #: whether all trials count, not only those in which something is claimed


def rare(noise: np.random.Generator, size: Any, share: float = 0.02, typical: float = 1.0) -> Array:
    """In one run of fifty ten times the typical loss, which itself hardly varies."""
    spread = typical * (1.0 + 0.001 * noise.normal(size=size))
    found: Array = np.where(noise.random(size) < share, 10.0, 1.0) * spread
    return found


#: One measure: its values, and the median that they have.
SINGLE: dict[str, tuple[Callable[[np.random.Generator, int], Array], float]] = {
    "normal": (lambda noise, n: noise.normal(10.0, 1.0, n), 10.0),
    "exponential": (lambda noise, n: noise.exponential(1.0, n), math.log(2.0)),
    "lognormal, sigma 1.5": (lambda noise, n: noise.lognormal(0.0, 1.5, n), 1.0),
    "1 run in 50 costs 10 times": (rare, 1.0 + 0.001 * float(ndtri(0.5 / 0.98))),
    "never in 1 run of 5": (
        lambda noise, n: np.where(noise.random(n) < 0.2, math.inf, noise.lognormal(0.0, 1.0, n)),
        1.0,
    ),
}


def shifted(kind: str, by: Sequence[float]) -> Losses:
    """Settings that differ by constants, each with noise of its own beside some that all share."""

    def losses(noise: np.random.Generator, n: int) -> Array:
        own: Array = getattr(noise, kind)(size=(len(by), n))
        found: Array = own + noise.normal(size=n) + np.array(by)[:, np.newaxis]
        return found

    return losses


def skewed(kind: str, median: float, by: float) -> Losses:
    """The first is steady; the others lose more by `by` in the median run, and their noise is
    skewed.

    So are the differences, which those of two that spread alike would not be.
    """

    def losses(noise: np.random.Generator, n: int) -> Array:
        others: Array = getattr(noise, kind)(size=(5, n)) - median + by
        return np.concatenate([np.zeros((1, n)), others]) + noise.normal(size=n)

    return losses


def brittle(share: float) -> Losses:
    """The first is stable; the others lose 2 % less in most runs and ten times as much in a few."""

    def losses(noise: np.random.Generator, n: int) -> Array:
        stable = 1.0 + 0.001 * noise.normal(size=(1, n))
        return np.concatenate([stable, rare(noise, (5, n), share, 0.98)])

    return losses


#: Six settings, the first of which is the best on average; the median of what any other loses more.
SEVERAL: dict[str, tuple[Losses, float]] = {
    "no difference": (shifted("normal", [0.0] * 6), 0.0),
    "near tie: one better by 0.1 sd": (shifted("normal", [0.0, *[0.1] * 5]), 0.1),
    "least favourable: one better by 0.3 sd": (shifted("normal", [0.0, *[0.3] * 5]), 0.3),
    "one steady, better than exponential ones by 0.3": (
        skewed("exponential", math.log(2.0), 0.3),
        0.3,
    ),
    "one steady, better than lognormal ones by 0.3": (skewed("lognormal", 1.0, 0.3), 0.3),
    "1 run in 50 costs 10 times, else 2 % better": (brittle(0.02), -0.02),
}


def judged(found: Estimate, truth: float) -> tuple[bool, bool]:
    if found.low is None or found.high is None:
        return False, True
    return True, found.low <= truth <= found.high


def cell(law: str, name: str, values: Array) -> Cell:
    nothing = dict.fromkeys(METRICS, math.nan)
    runs = [Run({**nothing, name: x}, [], Verdict("", ""), 0, "", None) for x in values.tolist()]
    return Cell(law, {}, runs)


def in_compare(draw: Callable[[np.random.Generator, int], Array], median: float, n: int) -> Trial:
    def trial(seed: int) -> list[tuple[bool, bool]]:
        values = draw(np.random.default_rng(seed), n)
        return [judged(cell("fixed", "iae", values).estimate("iae"), median)]

    return trial


def in_sweep(draw: Callable[[np.random.Generator, int], Array], median: float, n: int) -> Trial:
    place = list(METRICS).index("iae")

    def trial(seed: int) -> list[tuple[bool, bool]]:
        rows = np.full((n, len(METRICS)), math.nan)
        rows[:, place] = draw(np.random.default_rng(seed), n)
        return [judged(Row.of((), [(0, 0, row) for row in rows]).estimate("iae"), median)]

    return trial


def achieved(losses: Array) -> Array:
    shares: Array = np.clip(np.exp(-losses / 10.0 - 0.5), 0.011, 1.0)
    return shares


def played(losses: Array) -> League:
    """A league on one scenario in which nothing counts but goodput; the oracle's is 1."""
    nothing = {"wasted": 0.0, "latency_p99": 1.0, "swing": 0.0, "regain_time": math.nan}
    nothing |= {"fairness": math.nan, "limited": 0.0, "total_variation": 0.0}
    rows = {f"law {number}": row for number, row in enumerate(achieved(losses).tolist())}
    rows[ORACLE] = [1.0] * losses.shape[1]
    cells = {}
    for label, row in rows.items():
        runs = [Run({**nothing, "goodput": x}, [], Verdict("", ""), 0, "", None) for x in row]
        cells["healthy", label] = Cell("aimd", {}, runs)
    return League(Comparison({"healthy": SCENARIOS["healthy"]}, cells, 0, losses.shape[1]))


def in_league(losses: Losses, n: int, behind: bool) -> Trial:
    """Of all throttles together how far they are behind the first, or of the first law its rank."""

    @functools.cache
    def truth() -> tuple[Array, float]:
        many = losses(np.random.default_rng(2**40), BIG)
        # its weight, of those of useful calls, tail and smoothness besides
        scores = achieved(many) ** (0.7 / 0.9)
        gaps = np.median(scores[:, np.newaxis] - scores[np.newaxis], axis=2)
        return gaps, float(np.median(1.0 + (scores > scores[0]).sum(axis=0)))

    def trial(seed: int) -> list[tuple[bool, bool]]:
        standings = played(losses(np.random.default_rng(seed), n)).standings()
        gaps, rank = truth()
        if not behind:
            return [judged(row.ranks, rank) for row in standings if row.throttle == "law 0"]
        number = {row.throttle: int(row.throttle.split()[1]) for row in standings}
        found = [
            judged(row.behind, float(gaps[number[row.first], number[row.throttle]]))
            for row in standings
            if row.throttle != row.first
        ]
        return [(any(made for made, _ in found), all(kept for _, kept in found))]

    return trial


def chosen(losses: Losses, more: float, what: str) -> Trial:
    """The choice of `tune`: `within` of the best, that the best stands, or that the worse is not
    chosen.

    Best is who does best in the median run, and for the last the one with the least mean, the
    first.
    """

    def trial(seed: int) -> list[tuple[bool, bool]]:
        choice = selection.least_mean(losses(np.random.default_rng(seed), tune.CHOOSING))
        if what == "within":
            made = choice.within is not None
            behind = more if choice.winner != 0 else max(-more, 0.0)
            return [(made, not made or behind <= (choice.within or 0.0))]
        if what == "stands":
            return [(len(choice.standing) < 6, (0 if more >= 0.0 else 1) in choice.standing)]
        return [(False, choice.winner == 0)]

    return trial


def gained(losses: Losses, more: float, word: bool) -> Trial:
    """The gain of `tune`, of the first setting over the second: its interval or its word."""

    def trial(seed: int) -> list[tuple[bool, bool]]:
        values = losses(np.random.default_rng(seed), tune.JUDGING)
        (gain,) = tune.gains((values[1] - values[0])[:, np.newaxis])
        if not word:
            return [judged(gain, more)]
        sign = {"better": 1.0, "worse": -1.0}.get(judgement(gain), 0.0)
        return [(sign != 0.0, sign == 0.0 or sign * more > 0.0)]

    return trial


def no_change(draw: Callable[[np.random.Generator, int], Array]) -> Trial:
    """All measures of both settings from one distribution on three scenarios: no change is to be
    found.
    """

    def trial(seed: int) -> list[tuple[bool, bool]]:
        shape = (2, 3, tune.JUDGING, len(METRICS))
        values = draw(np.random.default_rng(seed), math.prod(shape)).reshape(shape)
        worse, better = selection.changes(["a", "b", "c"], values[0], values[1])
        return [(bool(worse or better), not worse and not better)]

    return trial


FUNCTIONS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "additive": (3, lambda x: x[:, 0] + 0.5 * x[:, 1] + 0.1 * x[:, 2]),
    "one parameter does nothing": (2, lambda x: x[:, 0] ** 2),
    "near tie: two parameters alike but for 5 %": (2, lambda x: x[:, 0] + 0.95 * x[:, 1]),
    "Ishigami": (
        3,
        lambda x: (
            np.sin(math.tau * (x[:, 0] - 0.5))
            + 7.0 * np.sin(math.tau * (x[:, 1] - 0.5)) ** 2
            + 0.1 * (math.tau * (x[:, 2] - 0.5)) ** 4 * np.sin(math.tau * (x[:, 0] - 0.5))
        ),
    ),
    "Sobol's g, a = 0, 1, 4.5, 9": (
        4,
        lambda x: np.prod(
            (np.abs(4.0 * x - 2.0) + np.array([0.0, 1.0, 4.5, 9.0]))
            / np.array([1.0, 2.0, 5.5, 10.0]),
            axis=1,
        ),
    ),
    "skewed: exp(4 x) (1 + y)": (2, lambda x: np.exp(4.0 * x[:, 0]) * (1.0 + x[:, 1])),
    "a corner of 10 % costs 10": (
        2,
        lambda x: x[:, 0] + 10.0 * (x.min(axis=1) > 1.0 - math.sqrt(0.1)),
    ),
    "a corner of 2 % costs 10": (
        2,
        lambda x: x[:, 0] + 10.0 * (x.min(axis=1) > 1.0 - math.sqrt(0.02)),
    ),
}


def indices(number: int, function: Callable[[Array], Array], base: int) -> Trial:
    """Both indices of every parameter, each for itself."""

    @functools.cache
    def truth() -> Array:
        values = function(sensitivity.saltelli(number, 2**17, 12345)).reshape(number + 2, -1)
        values = values - values[:2].mean()
        a, b, mixed, variance = values[0], values[1], values[2:], values[:2].var()
        both: Array = np.array(
            [(b * (mixed - a)).mean(axis=1), ((a - mixed) ** 2).mean(axis=1) / 2.0]
        )
        both /= variance
        return both

    def trial(seed: int) -> list[tuple[bool, bool]]:
        found = sensitivity.indices(
            function(sensitivity.saltelli(number, base, seed)), number, seed
        )
        # Printed to two digits.
        return [
            (not math.isnan(low), math.isnan(low) or low - 0.005 <= true <= high + 0.005)
            for rows, trues in zip(found, truth(), strict=True)
            for (_, low, high), true in zip(rows.tolist(), trues.tolist(), strict=True)
        ]

    return trial


def met(n: int) -> Trial:
    """An event that is as rare as `unseen` says is among n runs."""

    def trial(seed: int) -> list[tuple[bool, bool]]:
        return [(True, bool((np.random.default_rng(seed).random(n) < unseen(n)).any()))]

    return trial


def validated(seed: int) -> list[tuple[bool, bool]]:
    """Ten replications, each the mean of 2,000 exponential times, by Student's t at 99.9 %."""
    means = np.random.default_rng(seed).exponential(1.0, (10, 2000)).mean(axis=1)
    return [judged(mean_interval(means.tolist(), 0.999), 1.0)]


def promises() -> Iterator[Promise]:
    """All rows, in the order of the table."""
    for case, (draw, median) in SINGLE.items():
        yield Promise("`compare`: ± of 5 runs", case, EACH, in_compare(draw, median, 5))
        yield Promise("`compare`: ± of 30 runs", case, EACH, in_compare(draw, median, 30))
        yield Promise("`sweep`: ± of 5 runs", case, EACH, in_sweep(draw, median, 5))
    for case, (losses, _) in SEVERAL.items():
        yield Promise("league: rank, 5 runs", case, EACH, in_league(losses, 5, False))
        yield Promise("league: rank, 30 runs", case, EACH, in_league(losses, 30, False))
        yield Promise(
            "league: all behind the first, 30 runs", case, CONFIDENCE, in_league(losses, 30, True)
        )
    for case, (losses, more) in SEVERAL.items():
        yield Promise(
            "`tune`: at most so much worse than the best",
            case,
            CONFIDENCE,
            chosen(losses, more, "within"),
        )
        yield Promise(
            "`tune`: the best is one of those that may do best",
            case,
            CONFIDENCE,
            chosen(losses, more, "stands"),
            always=True,
        )
        yield Promise("`tune`: interval of the gain", case, CONFIDENCE, gained(losses, more, False))
        yield Promise(
            "`tune`: the gain is better, or worse",
            case,
            CONFIDENCE,
            gained(losses, more, True),
            always=True,
        )
    for case, (draw, _) in SINGLE.items():
        yield Promise(
            "`tune`: given up, better (no change)", case, CONFIDENCE, no_change(draw), always=True
        )
    for case, (number, function) in FUNCTIONS.items():
        stated = sensitivity.CONFIDENCE
        yield Promise(
            "`sensitivity`: each index, base 128", case, stated, indices(number, function, 128)
        )
    for n in (5, 30, tune.JUDGING, tune.CHOOSING):
        yield Promise(
            f"what may be missing of {n} runs",
            f"{format.share(unseen(n), 1)} of all runs",
            CONFIDENCE,
            met(n),
        )
    yield Promise(
        "`validate`: interval of 10 means", "means of 2,000 exponential times", 0.999, validated
    )
    for share in (0.05, 0.02, 0.01):
        case = f"{format.share(share)} of runs cost 10 times, else 2 % better"
        losses, mean = brittle(share), 0.98 * (1.0 + 9.0 * share) - 1.0
        yield Promise(
            "`tune`: the chosen has the least mean",
            case,
            None,
            chosen(losses, 0.0, "least"),
            always=True,
        )
        yield Promise(
            "`tune`: what is better, or worse, is so on average",
            case,
            None,
            gained(losses, mean, True),
        )


class Found(NamedTuple):
    """What came of the trials of a promise; of several claims at once, the one that was kept
    least.
    """

    claimed: float
    kept: int
    counted: int  #: trials in which it could have been broken

    def bounds(self) -> tuple[float, float]:
        low, high = binomtest(self.kept, self.counted).proportion_ci(method="wilson")
        return float(low), float(high)


def tried(promise: Promise, trials: int) -> Found:
    outcomes = np.array([promise.trial(seed) for seed in range(trials)])
    made, kept = outcomes[:, :, 0], outcomes[:, :, 1]
    counted = made | promise.always
    shares = (kept & counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    least = int(shares.argmin())
    return Found(
        float(made.mean()), int((kept & counted)[:, least].sum()), int(counted[:, least].sum())
    )


def line(promise: Promise, found: Found) -> str:
    stated = "nothing" if promise.stated is None else f"{100.0 * promise.stated:.4g} %"
    kept = "-"
    if found.counted:
        low, high = found.bounds()
        kept = f"{100.0 * found.kept / found.counted:.1f} % [{100.0 * low:.1f}, {100.0 * high:.1f}]"
    claimed = format.share(found.claimed, 1)
    return f"| {promise.claim} | {promise.case} | {stated} | {claimed} | {kept} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help=f"{SMOKE} trials each")
    trials = SMOKE if parser.parse_args().smoke else TRIALS
    print("| claim | losses | stated | claimed in | kept in |\n|---|---|---|---|---|")
    for promise in promises():
        print(line(promise, tried(promise, trials)), flush=True)


if __name__ == "__main__":
    main()
