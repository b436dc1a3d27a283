"""How much of its score a law loses with a parameter 30 % lower or higher, one at a time.

    python benchmarks/robustness.py [--law NAME] [--by SHARE] [--services N] [--seed N] [--smoke]

Services of the families for tuning and for judging (`--services` of each family), and the scenarios
of the league, all under the same noise. The loss is that of the mean score, as a share of it; its
interval (95 %) is of the mean difference on the same services. What a range or a rule between
parameters does not allow is moved to what it allows nearest, or left out and said. The exit code is
1 if any mean is more than 3 % lower. `--smoke`: one family of each and one scenario, and only that
it runs. About a minute on two cores for `headroom`.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import numpy as np
from _inputs import ended

from tpssim.core.errors import InputError
from tpssim.core.statistics import CONFIDENCE, Estimate, mean_interval
from tpssim.core.validation import Range, ranges, replaced
from tpssim.experiments.compare import league
from tpssim.experiments.families import JUDGING, TUNING
from tpssim.experiments.league import League
from tpssim.experiments.random_services import random_scenarios
from tpssim.output.tables import Column, Table
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import throttle_spec

ALLOWED = 0.03  #: loss of the mean score
NOISE = 4000  #: seed of the runs: none that a law was tuned on

#: What is changed: the parameter, its value, and the law's name with it.
Change = tuple[str, float, str]


def near(value: float, own: float, allowed: Range) -> float:
    """The nearest value inside a range; of an end that is not in it a hundredth of the way back."""
    found = min(max(value, allowed.low), allowed.high)
    return found if allowed.holds(found) else found + 0.01 * (own - found)


def changes(name: str, law: Any, by: float) -> tuple[list[Change], list[str]]:
    """The law with each parameter lower and higher, and what cannot be changed so."""
    found, left = [], []
    for field, allowed in ranges(law).items():
        own = getattr(law, field)
        for factor in (1.0 - by, 1.0 + by):
            value = float(f"{near(factor * own, own, allowed):.6g}")
            try:
                made = replaced(law, name, {field: value})
            except InputError as error:
                left.append(f"{field} x {factor:g}: {error}")
                continue
            if made == law or not math.isfinite(value):
                left.append(f"{field} x {factor:g}: {own:g} as it is")
            else:
                found.append((field, value, throttle_spec(made).label))
    return found, left


def scores(played: League, label: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The mean score on each scenario."""
    names = played.scenarios()
    return np.array([np.mean([run.total for run in played.scores(n, label)]) for n in names])


def loss(played: League, own: str, label: str) -> Estimate:
    """What the mean score loses, as a share of it."""
    base = scores(played, own)
    lost = (base - scores(played, label)) / base.mean()
    return mean_interval(lost.tolist(), CONFIDENCE)


def groups(each: int, seed: int, smoke: bool) -> dict[str, tuple[list[Scenario], int]]:
    """Scenarios by group, and how often each is run."""
    if smoke:
        few = ["overload", "knee"]
        one = [random_scenarios(2, seed, kind) for kind in few]
        return {"tuning": (one[0], 1), "judging": (one[1], 1)}
    return {
        "tuning": (random_scenarios(each * len(TUNING), seed, "tuning"), 1),
        "judging": (random_scenarios(each * len(JUDGING), seed, "judging"), 1),
        "league": (list(SCENARIOS.values()), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--law", default="headroom", help="with parameters, as anywhere (headroom)")
    parser.add_argument("--by", type=float, default=0.3, help="share of each parameter (0.3)")
    parser.add_argument("--services", type=int, default=6, help="of each family (6)")
    parser.add_argument("--seed", type=int, default=2026, help="of the services (2026)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    spec = throttle_spec(args.law)
    if spec.law is None or not 0.0 < args.by < 1.0:
        parser.error("allowed: --law a law with parameters, --by between 0 and 1")
    found, left = changes(spec.name, spec.law, args.by)
    if args.smoke:
        found = found[:2]
    if not found:
        parser.error(f"--law {args.law}: no parameter can be changed so")
    chosen = groups(args.services, args.seed, args.smoke)
    laws = [spec.law, *(label for _, _, label in found)]
    played = {}
    for name, (scenarios, replications) in chosen.items():
        print(f"{name}: {len(laws)} settings on {len(scenarios)} services", file=sys.stderr)
        played[name] = league(
            scenarios, laws, replications=replications, seed=NOISE, workers=args.workers
        )
    rows, worst = [], 0.0
    for field, value, label in found:
        losses = [loss(each, spec.label, label) for each in played.values()]
        worst = max(worst, *(each.mean or 0.0 for each in losses))
        rows.append([field, getattr(spec.law, field), value, *losses])
    columns = [
        Column("parameter", left=True),
        Column("own", digits=None),
        Column("set to", digits=None),
        *(Column(name, "%", digits=2, scale=100.0, spread=True) for name in played),
    ]
    means = ", ".join(
        f"{name} {scores(each, spec.label).mean():.3f}" for name, each in played.items()
    )
    title = f"{spec.label}: loss of the mean score ({means})"
    notes = [("not changed:", text) for text in left]
    print(Table(title, columns, rows, notes).text())
    print(f"the most that is lost: {worst:.2%}, at most {ALLOWED:.0%} wanted")
    return 0 if args.smoke or worst <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(ended(main))
