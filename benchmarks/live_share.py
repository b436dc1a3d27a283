"""A law live against services of five kinds that `serve` plays, beside the same runs on the bench.

    python benchmarks/live_share.py [--law NAME] [--only KIND] [--rounds N] [--seed N] [--smoke]

Costs of two sizes, a network that takes far longer than the service, a speed that falls with the
calls in flight, a quota that answers 429, and a capacity that jumps: a service of each family is
drawn, small enough for one machine, and served by `serve --service`. The law's goodput within the
deadline is shown as a share of the oracle's on the bench. Call k takes as long live as on the
bench, and the time that client and server take besides, which is measured first, is a part of the
bench's network. Of several rounds, each with noise of its own, the mean share live is to be within
3 % of the mean on the bench; the exit code is 1 where it is not. Below stands how busy the machine
was: what others take of it, the bench knows nothing of.

`--only`: one of the families; may be repeated. `--smoke`: one family and round, three seconds, and
only that it runs. In all some 13 minutes, most of which it waits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _inputs import ended
from _laws_foretold import processor
from _served import live, with_client

import tpssim
from tpssim.core.statistics import CONFIDENCE, Estimate, mean_interval
from tpssim.core.types import record
from tpssim.experiments.random_services import random_scenario
from tpssim.metrics.measure import measure
from tpssim.output.tables import Column, Table
from tpssim.scenarios.plant import Async
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.oracle import NAME as ORACLE
from tpssim.simulation.resolve import throttle_spec

KINDS = ("bimodal", "far", "retrograde", "quota-plain", "capacity-steps")
MOST = 120.0  #: calls a second that are wanted: client and server share the machine
LONGEST = 60.0  #: s, of a run
ALLOWED = 0.03


@record
class Row(NamedTuple):
    """A law on one service, live and on the bench, over rounds."""

    service: str
    live: Estimate  #: goodput as a share of the oracle's
    bench: Estimate
    off: Estimate  #: live / bench - 1, of the means; its interval is of the difference in pairs
    p99: float  #: live, s
    p99_bench: float


def small(family: str, seed: int) -> Scenario:
    """The first of a family that one machine can play in good time."""
    for number in range(1000):
        found = random_scenario(family, number, seed)
        plain = isinstance(found.target, float) and found.target <= MOST
        if plain and isinstance(found.consumer, Async) and found.duration <= LONGEST:
            return found
    raise AssertionError(f"no {family} is small enough")


def run(service: Scenario, law: Any, rounds: int, seed: int, folder: Path) -> Row:
    """Some rounds of one service."""
    bench = with_client(service)
    shares: dict[str, list[float]] = {"live": [], "bench": []}
    tails: dict[str, list[float]] = {"live": [], "bench": []}
    for k in range(rounds):
        noise = seed + k
        best = measure(tpssim.simulate(bench, ORACLE, seed=noise))["goodput"]
        path = folder / f"{service.name}-{k}.ndjson"
        played = live(service, law, path, seed=noise)._replace(scenario=bench)
        for name, trace in (("live", played), ("bench", tpssim.simulate(bench, law, seed=noise))):
            found = measure(trace)
            shares[name].append(found["goodput"] / best)
            tails[name].append(found["latency_p99"])
    mine, model = (np.array(shares[name]) for name in ("live", "bench"))
    return Row(
        service=service.name,
        live=mean_interval(mine.tolist(), CONFIDENCE),
        bench=mean_interval(model.tolist(), CONFIDENCE),
        off=mean_interval(((mine - model) / model.mean()).tolist(), CONFIDENCE),
        p99=float(np.mean(tails["live"])),
        p99_bench=float(np.mean(tails["bench"])),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--law", default="headroom", help="with parameters, as anywhere (headroom)")
    parser.add_argument("--only", choices=KINDS, action="append", help="may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="of each service (3)")
    parser.add_argument("--seed", type=int, default=2028, help="of services and noise (2028)")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    kinds, rounds, law = args.only or list(KINDS), args.rounds, throttle_spec(args.law).law
    if law is None or rounds < 1:
        parser.error("allowed: --law a law, --rounds 1 and more")
    if args.smoke:
        kinds, rounds = ["bimodal"], 1
    warnings.simplefilter("ignore", tpssim.ThrottleWarning)  # a busy machine is named below
    rows, before = [], processor()
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            service = small(kind, args.seed)
            if args.smoke:
                service = service._replace(duration=3.0)
            what = f"{service.target:g}/s for {service.duration:g} s, {rounds} times"
            print(f"{service.name}: {what}", file=sys.stderr)
            rows.append(run(service, law, rounds, args.seed, Path(name)))
    whole, working = (now - then for now, then in zip(processor(), before, strict=True))
    columns = [
        Column("service", left=True),
        Column("live", digits=3, spread=True),
        Column("bench", digits=3, spread=True),
        Column("off", "%", digits=1, scale=100.0, spread=True),
        Column("p99\nlive", "ms", digits=0, scale=1e3),
        Column("p99\nbench", "ms", digits=0, scale=1e3),
    ]
    busy = f"{os.cpu_count()} cores, {working / whole if whole else 0.0:.0%} at work"
    about = [("±:", f"95 % of the mean of {rounds} rounds, of off in pairs"), ("", busy)]
    title = f"{args.law}: goodput within the deadline as a share of the oracle's on the bench"
    print(Table(title, columns, rows, about).text())
    wrong = [row.service for row in rows if not abs(row.off.mean or 0.0) <= ALLOWED]
    print(f"{len(rows) - len(wrong)} of {len(rows)} within {ALLOWED:.0%} of the bench"
          + "".join(f"\n- {name} is not" for name in wrong))  # fmt: skip
    return 0 if args.smoke or not wrong else 1


if __name__ == "__main__":
    sys.exit(ended(main))
