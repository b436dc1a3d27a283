"""Does `recommend` name the best law? Ten services of families on which no law was tuned.

    python benchmarks/recommend_trial.py [--seed N] [--only FAMILY] [--live] [--smoke]

Ten of the families for judging, one service of each, drawn with `--seed`: always calls that block
one at a time, a quota and a service that is slow at first, which `recommend` is to know from a
recording alone (of a ramp up to the wanted rate and back); seven others as files. Each is given to
`python -m tpssim recommend` as a user would. What that names is compared with the best that was
tried here on the service itself: rates without a law, every law, and the best five of them tuned.
All of them are run again; the best is chosen by these runs, and what is shown comes from runs of
their own: the value (the score with the weights of `--for throughput`), goodput as a share of the
oracle's, and how far what was named is behind, as a share of the best's value (95 % of the mean, in
pairs).

The exit code is 1 if more than one service in ten is more than 3 % behind. `--live`: the recordings
are of live runs against `serve --service`, what is named is then run live, and goodput and 99th
percentile are to lie in the intervals that were promised. Where others keep the machine busy a call
takes longer than when it was recorded, so how busy it was is said. `--only`: one of the families;
may be repeated. `--smoke`: one family and law, and only that it runs. About 20 minutes on two
cores, with `--live` 10 more.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _inputs import ended
from _laws_foretold import processor
from _served import live

import tpssim
from tpssim.cli.commands.common import executor_for
from tpssim.core.statistics import CONFIDENCE, Estimate, mean_interval
from tpssim.core.types import record
from tpssim.experiments.families import JUDGING
from tpssim.experiments.random_services import random_scenario
from tpssim.experiments.recommending import purposes
from tpssim.experiments.recommending.candidates import (
    PLAIN,
    Candidate,
    given_laws,
    law,
    laws,
    plain,
    tunable,
    tuned,
)
from tpssim.experiments.recommending.trials import Outcome, outcomes
from tpssim.experiments.scoring import oracle_measures
from tpssim.experiments.tuning.tune import tune
from tpssim.metrics.measure import measure
from tpssim.output.tables import Column, Table, Value
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.plant import Pool
from tpssim.scenarios.scenario import Scenario

PURPOSE = "throughput"
WEIGHTS = purposes.weights_of(PURPOSE)
RECORDED = ("blocking-changes", "quota-plain", "cold-start")  #: that a recording can tell
RECORDER = "fixed"  #: on a ramp: a service that was never full cannot be known
SERVICES, ALLOWED = 10, 0.03
MOST = 150.0  #: calls a second that are wanted of what is recorded, for it may be live
NOISE = 6000  #: seed of the runs here; `recommend` begins at 0
PROMISED = ("goodput", "latency_p99")


class Effort(NamedTuple):
    """How much is tried."""

    laws: list[str] | None = None  #: None: all
    options: tuple[str, ...] = ()  #: of `recommend`
    tuned: int = 5  #: laws
    budget: int = 150  #: settings of each
    ranking: int = 10  #: runs of each candidate
    runs: int = 40  #: of the best of them, to choose, and to judge
    finalists: int = 10


SMOKE = Effort(["aimd"], ("--draws", "2", "--budget", "16"), 1, 16, 2, 3, 3)


@record
class Row(NamedTuple):
    """What was named for a service beside the best that was tried."""

    service: str
    source: str
    named: str
    best: str
    value: float
    value_best: float
    share: float
    share_best: float
    behind: Estimate  #: as a share of the best's value


def chosen_families(seed: int, only: Sequence[str] | None) -> list[str]:
    """Ten families: those that are recorded, and others at random."""
    others = [name for name in JUDGING if name not in RECORDED]
    drawn = random.Random(seed).sample(others, SERVICES - len(RECORDED))
    return list(only) if only else [*RECORDED, *drawn]


def service_of(family: str, seed: int) -> Scenario:
    """One of the family: the first; of what is recorded the first that is small enough, and whose
    calls are not made by a pool, for a recording does not know of one.
    """
    for number in range(1000):
        found = random_scenario(family, number, seed)
        small = isinstance(found.target, float) and found.target <= MOST
        if family not in RECORDED or (small and not isinstance(found.consumer, Pool)):
            return found
    raise AssertionError(f"no {family} is small enough")


def ramp(service: Scenario) -> tpssim.Stages:
    """From little to what is wanted, and back, as `fit` asks one to record."""
    assert isinstance(service.target, float)
    rise, most = 0.7 * service.duration, service.target
    return tpssim.Stages([(rise, most), (service.duration - rise, 0.2 * most)], start=0.2 * most)


class Asked(NamedTuple):
    """What `recommend` said."""

    record: dict[str, Any]

    def candidate(self) -> Candidate:
        """Who is named, as a candidate."""
        label = self.record["label"]
        if label.startswith("no controller"):
            return Candidate(label, PLAIN, None, self.record["tps"] if "tps=" in label else None)
        return law(label)


def asked(
    service: Scenario, folder: Path, seed: int, effort: Effort, is_live: bool, workers: int
) -> Asked:
    """Ask `recommend`, with a recording or a file."""
    words = ["--workers", str(workers)]
    if service.name.rpartition("-")[0] in RECORDED:
        given = folder / f"{service.name}.{'ndjson' if is_live else 'csv'}"
        words += ["--tps", f"{service.target:g}", "--deadline", f"{deadline_of(service):g}"]
        if is_live:
            live(service, RECORDER, given, seed=seed, tps=ramp(service))
        else:
            ramped = service._replace(target=ramp(service))
            tpssim.simulate(ramped, RECORDER, seed=NOISE - 1).to_csv(given)
    else:
        given = folder / f"{service.name}.toml"
        service.to_toml(given)
    if effort.laws is not None:
        words += ["--controllers", *effort.laws]
    out = folder / f"{service.name}-recommended"
    command = [sys.executable, "-m", "tpssim", "recommend", str(given), "--for", PURPOSE, "--json"]
    command += ["--out", str(out), "--seed", str(seed), *effort.options, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Asked(json.loads(done.stdout))


def valued(service: Scenario, noise: int, replication: int, found: Mapping[str, float]) -> float:
    """What a run is worth, beside the oracle's on the same noise."""
    return purposes.value(WEIGHTS, found, oracle_measures(service, noise, replication))


def tried(
    service: Scenario, named: Candidate, seed: int, effort: Effort, executor: Executor | None
) -> tuple[Outcome, Outcome]:
    """(what was named, the best of all that is tried here), in runs that chose neither."""

    def run(candidates: Sequence[Candidate], runs: int, noise: int) -> list[Outcome]:
        return outcomes(candidates, [service], valued, runs, [noise], executor)

    noise = NOISE + 3 * seed
    every = laws(service) if effort.laws is None else given_laws(effort.laws, service)
    ranked = run([*plain(service), *every], effort.ranking, noise)
    ranked.sort(key=lambda each: -each.mean())
    best = [each.candidate for each in ranked if each.candidate.law is not None][: effort.tuned]
    better = []
    for one in filter(tunable, best):
        found = tune(
            service, one.law, purposes.loss(WEIGHTS), replications=2, seed=NOISE + seed,
            budget=effort.budget, executor=executor,
        )  # fmt: skip
        better.append(tuned(found.best, one.law))
    known = [each.candidate for each in ranked[: effort.finalists]]
    finalists = {one.label: one for one in (named, *known, *better) if one is not None}
    first = max(run(list(finalists.values()), effort.runs, noise + 1), key=Outcome.mean).candidate
    pair = list(dict.fromkeys([finalists[named.label], first]))
    judged = run(pair, effort.runs, noise + 2)
    return judged[0], judged[-1]


def row_of(service: Scenario, source: str, named: Outcome, best: Outcome, noise: int) -> Row:
    """A row of the table."""

    def share(one: Outcome) -> float:
        bars = [oracle_measures(service, noise, k)["goodput"] for k in range(len(one.runs))]
        pairs = zip(one.runs, bars, strict=True)
        return float(np.mean([min(run["goodput"] / bar, 1.0) for run, bar in pairs if bar > 0.0]))

    lost = np.subtract(best.values, named.values) / best.mean()
    return Row(
        service=service.name,
        source=source,
        named=named.candidate.label,
        best=best.candidate.label,
        value=named.mean(),
        value_best=best.mean(),
        share=share(named),
        share_best=share(best),
        behind=mean_interval(lost.tolist(), CONFIDENCE),
    )


def kept(service: Scenario, said: Asked, folder: Path, seed: int) -> list[str]:
    """Run what was named live; which of the promises was not kept, in words."""
    one = said.candidate()
    controller = "fixed" if one.law is None else one.law
    path = folder / f"{service.name}-live.ndjson"
    before = processor()
    found = measure(live(service, controller, path, seed=seed + 1, tps=one.tps))
    whole, working = (now - then for now, then in zip(processor(), before, strict=True))
    print(f"  live: the cores were {working / whole if whole else 0.0:.0%} at work", flush=True)
    wrong = []
    if not said.record["expected"]:
        print("  nothing was promised, for the model does not hold", flush=True)
    for each in said.record["expected"]:
        if each["name"] in PROMISED:
            value, low, high = found[each["name"]], each["low"], each["high"]
            inside = low is not None and low <= value and (high is None or value <= high)
            text = f"{service.name}: {each['name']} {value:.4g} live, {low} to {high} promised"
            print(f"  {'kept' if inside else 'MISSED'}: {text}", flush=True)
            wrong += [] if inside else [text]
    return wrong


def shown(rows: Sequence[Row]) -> str:
    """The table, and below it what was named and what is best, in full."""
    columns = [
        Column("service", left=True),
        Column("from", left=True),
        Column("value", digits=3),
        Column("best", digits=3),
        Column("good-\nput", digits=3),
        Column("of the\nbest", digits=3),
        Column("behind", "%", digits=1, scale=100.0, spread=True),
    ]
    cells: list[list[Value]] = [
        [r.service, r.source, r.value, r.value_best, r.share, r.share_best, r.behind] for r in rows
    ]
    notes = [(f"{r.service}:", f"{r.named}; best tried: {r.best}") for r in rows]
    return Table(
        "what recommend names beside the best that was tried", columns, cells, notes
    ).text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=31, help="of families and services (31)")
    parser.add_argument("--only", choices=list(JUDGING), action="append", help="may be repeated")
    parser.add_argument("--live", action="store_true", help="record and run what serve can play")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    effort, only = (SMOKE, ["quota-plain"]) if args.smoke else (Effort(), args.only)
    warnings.simplefilter("ignore", tpssim.ThrottleWarning)
    rows, broken, began = [], [], time.monotonic()
    with tempfile.TemporaryDirectory() as name, executor_for(args.workers, helped=True) as executor:
        folder = Path(name)
        for family in chosen_families(args.seed, only):
            service = service_of(family, args.seed)
            print(f"{time.monotonic() - began:5.0f} s: {service.name}", flush=True)
            said = asked(service, folder, args.seed, effort, args.live, args.workers)
            pair = tried(service, said.candidate(), args.seed, effort, executor)
            source = "recording" if family in RECORDED else "file"
            rows.append(row_of(service, source, *pair, NOISE + 3 * args.seed + 2))
            print(
                f"  {rows[-1].named}: {rows[-1].behind.mean:.1%} behind {rows[-1].best}", flush=True
            )
            if args.live and family in RECORDED:
                broken += kept(service, said, folder, args.seed)
    print(shown(rows))
    near = sum((row.behind.mean or 0.0) <= ALLOWED for row in rows)
    print(
        f"{near} of {len(rows)} within {ALLOWED:.0%} of the best; {time.monotonic() - began:.0f} s"
    )
    print("".join(f"- not kept: {text}\n" for text in broken), end="")
    return 0 if args.smoke or (near >= 0.9 * len(rows) and not broken) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
