"""How many of the promises of `recommend` are kept? On services of the tuning families.

    python benchmarks/recommend_promises.py [--seeds N N ...] [--only FAMILY] [--smoke]

One service of each family for each seed, such as a recording can tell (a wanted rate, calls that
are not made by a pool). A run of `fixed` on a ramp up to the wanted rate and back is recorded, as
in recommend_trial.py; `recommend` learns the service from that alone (three laws, hardly tuned),
and what it names runs on the true service twenty times, under noise that had no part in it. Counted
are the runs whose goodput and 99th percentile lie in the intervals that were promised (95 % are
to), how wide these are, and how often nothing was promised, since the model does not hold: then it
is shown what the law that is named serves beside the best of the candidates. A simulated run is
exact where a live one has a machine in it. About half a minute a service on two cores; the exit
code is 1 if fewer than nine promises in ten are kept. `--smoke`: one service, and only that it
runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _inputs import ended
from recommend_trial import ramp

import tpssim
from tpssim.experiments.families import TUNING
from tpssim.experiments.random_services import random_scenario
from tpssim.experiments.recommending.candidates import Candidate, given_laws, plain
from tpssim.experiments.recommending.recommendation import Recommendation
from tpssim.experiments.recommending.trials import Outcome, outcomes
from tpssim.output.tables import Column, Table, Value
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.plant import Pool
from tpssim.scenarios.scenario import Scenario

LAWS = ("headroom", "aimd", "netflix-vegas")
#: Of these a recording cannot tell what is asked: when calls come, or a day of tokens.
LEFT_OUT = ("poisson", "ramps", "tokens")
NOISE = 6000  #: seed of the true runs; `recommend` begins at 0
RUNS = 20
MOST = 20_000.0  #: calls of a run
PROMISED = ("goodput", "latency_p99")
ASKED = 0.9


class Kept(NamedTuple):
    """What became of a promise."""

    share: float  #: of the true runs that lie in it
    width: float  #: of the interval, as a share of the true median


def service_of(family: str, seed: int) -> Scenario:
    """The first of a family that a recording can tell."""
    for number in range(1000):
        found = random_scenario(family, number, seed)
        if not isinstance(found.target, float) or isinstance(found.consumer, Pool):
            continue
        if found.target * found.duration < MOST:
            return found._replace(deadline=deadline_of(found))
    raise AssertionError(f"no {family} can be recorded")


def asked(service: Scenario, folder: Path, smoke: bool) -> Recommendation:
    """What `recommend` says of a recording of it."""
    assert isinstance(service.target, float)
    path = folder / f"{service.name}.csv"
    tpssim.simulate(service._replace(target=ramp(service)), "fixed", seed=NOISE - 1).to_csv(path)
    found = tpssim.fit(path, holdout=0.0)
    laws = LAWS if found.structure == "overlapping" else LAWS[:2]
    return tpssim.recommend(
        found, tps=service.target, deadline=service.deadline,
        controllers=laws[:1] if smoke else laws, draws=2 if smoke else 10, budget=16,
    )  # fmt: skip


def true_runs(service: Scenario, candidates: list[Candidate]) -> dict[str, Outcome]:
    """The candidates on the service itself."""
    found = outcomes(candidates, [service], lambda *_: 0.0, RUNS, [NOISE])
    return {one.candidate.label: one for one in found}


def kept(said: Recommendation, true: Outcome) -> dict[str, Kept]:
    """How many of the true runs lie in each interval."""
    found = {}
    for each in said.expected():
        if each["name"] in PROMISED and each["low"] is not None:
            high = np.inf if each["high"] is None else each["high"]
            values = np.array([run[each["name"]] for run in true.runs])
            inside = (each["low"] <= values) & (values <= high)
            width = (high - each["low"]) / max(float(np.median(values)), 1e-9)
            found[each["name"]] = Kept(float(inside.mean()), width)
    return found


def beside_the_best(named: str, true: dict[str, Outcome]) -> float:
    """The goodput of what is named, as a share of that of the best of all."""
    means = {k: float(np.mean([run["goodput"] for run in v.runs])) for k, v in true.items()}
    return means[named] / max(*means.values(), 1e-9)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[501], help="of services (501)")
    known = [name for name in TUNING if name not in LEFT_OUT]
    parser.add_argument("--only", choices=known, action="append", help="may be repeated")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    families = ["blocking"] if args.smoke else args.only or known
    warnings.simplefilter("ignore", tpssim.ThrottleWarning)
    rows: list[list[Value]] = []
    promises: list[dict[str, Kept]] = []
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        for seed in args.seeds:
            for family in families:
                service = service_of(family, seed)
                said = asked(service, Path(name), args.smoke)
                tried = [*plain(said.services.likeliest), *given_laws(LAWS[:1], service)]
                tried = list(dict.fromkeys([said.winner.candidate, *tried]))
                true = true_runs(service, tried)
                found = kept(said, true[said.label])
                cells: list[Value] = []
                for each in PROMISED:
                    cells += list(found[each]) if each in found else [None, None]
                share = beside_the_best(said.label, true)
                if said.services.wrong:
                    shares.append(share)
                elif found:
                    promises.append(found)
                named = said.winner.candidate.short()
                rows.append([f"{service.name}, seed {seed}", named, share, *cells])
                words = ", ".join(f"{k}: {v.share:.0%}" for k, v in found.items())
                print(f"{rows[-1][0]}: {named}; {words or 'nothing promised'}", flush=True)
    print(Table("promises kept", columns(), rows).text())
    return told(promises, shares, args.smoke)


def columns() -> list[Column]:
    """Of the table."""
    found = [Column("service", left=True), Column("named", left=True)]
    found.append(Column("of the\nbest", digits=3))
    for name in ("goodput", "p99"):
        found += [Column(f"{name}\n{what}", digits=2) for what in ("kept", "width")]
    return found


def told(promises: list[dict[str, Kept]], shares: list[float], smoke: bool) -> int:
    """The last lines, and the exit code."""
    right = True
    for name in PROMISED:
        there = [each[name] for each in promises if name in each]
        if there:
            share = float(np.mean([one.share for one in there]))
            width = float(np.median([one.width for one in there]))
            right &= share >= ASKED
            print(f"{name}: {share:.1%} kept, of {len(there)} services; median width {width:.1%}")
    if shares:
        print(
            f"{len(shares)} models do not hold: what is named instead serves"
            f" {np.mean(shares):.1%} of the best tried, {min(shares):.1%} at the least"
        )
    if not any(promises):
        print("nothing was promised")
        right = False
    return 0 if smoke or right else 1


if __name__ == "__main__":
    sys.exit(ended(main))
