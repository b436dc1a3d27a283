"""How long `fit` takes on long recordings: 100,000 calls are to be fitted within 60 s on two cores.

    python benchmarks/fit_long.py [--smoke] [--calls N]

Each service is known, recorded in the model at 95 % of its capacity, and fitted: servers, mean and
changes are printed beside the true ones, with seconds on the clock and of the processor.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, NamedTuple

from tpssim import Async, Backend, Constant, Lognormal, Pareto, Scenario, Step, fit, simulate
from tpssim.scenarios.recordings.calls import Recording

WITHIN = 60.0  # s
MEAN = 0.05  # s, of the service


class Row(NamedTuple):
    """A service to be recorded; its step: 1.5 times as slow, from 40 to 70 % of the time."""

    name: str
    service: Any
    servers: float
    step: bool


ROWS = (
    Row("log-normal", Lognormal(MEAN, 0.5), 12.0, False),
    Row("log-normal", Lognormal(MEAN, 0.5), 64.0, False),
    Row("log-normal", Lognormal(MEAN, 0.5), 12.0, True),
    Row("constant", Constant(MEAN), 12.0, True),
    Row("pareto", Pareto(MEAN, 3.0), 12.0, True),
)


def recorded(row: Row, calls: int) -> Recording:
    """A recording of about so many calls."""
    rate = 0.95 * row.servers / MEAN
    duration = calls / rate
    scenario = Scenario(
        "long",
        row.service,
        rate,
        duration,
        Async(0.0, "completion"),
        backend=Backend(servers=row.servers),
        network=Constant(0.01),
        disturbances=(Step(0.4 * duration, 0.7 * duration, 1.5),) if row.step else (),
        poisson=1.0,
    )
    trace = simulate(scenario, "fixed", seed=5, engine="compiled")
    return Recording.of(trace.released, trace.completed, trace.outcome)


def line(row: Row, calls: int) -> tuple[str, bool]:
    """What came of it, and whether it was found in time."""
    recording = recorded(row, calls)
    began, worked = time.perf_counter(), time.process_time()
    result = fit(recording, holdout=0.0)
    seconds, of_processor = time.perf_counter() - began, time.process_time() - worked
    servers, mean = result.estimates["backend.servers"].value, result.estimates["service.mean"]
    right = servers == row.servers and len(result.changes) == 2 * row.step
    text = (
        f"{row.name:10} {'step' if row.step else '    '} {len(recording):7,} calls"
        f"  servers {row.servers:2g} {servers:3g}  mean {mean.value / MEAN - 1.0:+.2%}"
        f"  changes {2 * row.step} {len(result.changes)}"
        f"  {seconds:6.1f} s, {of_processor:5.1f} s of the processor"
    )
    return text, right and seconds <= WITHIN


def main() -> int:
    parser = argparse.ArgumentParser(description="How long fit takes on long recordings.")
    parser.add_argument("--smoke", action="store_true", help="one short recording, not judged")
    parser.add_argument("--calls", type=int, default=100_000, help="of each recording (100,000)")
    args = parser.parse_args()
    fit(recorded(ROWS[0], 1000), holdout=0.0)  # what is compiled is compiled before
    holds = True
    for row in ROWS[:1] if args.smoke else ROWS:
        text, good = line(row, 5000 if args.smoke else args.calls)
        print(f"{'  ' if good else '! '}{text}", flush=True)
        holds &= good
    return 0 if holds or args.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
