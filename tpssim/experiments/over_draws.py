"""What a throttle comes to over services drawn from what a fit leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tpssim.metrics.measure import METRICS

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate
    from tpssim.output.records.parts import Ends, OverDraws


class Judged(Protocol):
    """What a throttle did on one of them, in all replications."""

    def estimate(self, metric: str) -> Estimate: ...

    def verdict(self) -> tuple[str, float]: ...


def over_draws(found: Sequence[Judged]) -> OverDraws:
    """The least and the most of the mean of each measure, and how many came to each verdict."""
    words = Counter(one.verdict()[0] for one in found)
    measures = {name: _ends([one.estimate(name).mean for one in found]) for name in METRICS}
    return {"draws": len(found), "verdicts": dict(words.most_common()), "measures": measures}


def _ends(means: Sequence[float | None]) -> Ends:
    there = [mean for mean in means if mean is not None]
    return {
        "least": min(there, default=None),
        "most": max(there, default=None),
        "n": len(there),
    }
