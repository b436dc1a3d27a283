"""What becomes of the ceiling when a run falls behind: live, in each late policy, and what the
report says.

    python benchmarks/late_bursts.py [--smoke]

At 100 a second each run meets one of: a stop of the process (SIGSTOP), an empty source, a full
pool, a law's limit, a service that recovers. Printed are the most releases in any second (counted
here once more, from the times of release), what the policy allows, and the headline. The exit code
is 1 if one is above that, or if the headline does not name what happened. `--smoke`: short, two
policies, and only that it runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import tpssim
from tpssim.core.types import Observation

TPS = 100.0
POLICIES = ("auto", "burst", "capped(20)", "delay", "skip")


class Size(NamedTuple):
    """How long a run is, s."""

    before: float = 1.0
    trouble: float = 3.0
    after: float = 2.0

    @property
    def calls(self) -> int:
        return int(TPS * sum(self))


SMOKE = Size(0.5, 1.5, 1.0)


class Actuators(NamedTuple):
    rate: float
    limit: float
    reject: float


class Two(NamedTuple):
    """A law that lets two calls be in flight."""

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, 2.0, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


class Trouble:
    """A service whose calls take 1 ms, and for a while `slow` seconds."""

    def __init__(self, size: Size, slow: float) -> None:
        self.size, self.slow = size, slow
        self.began = math.inf

    def lasts(self) -> bool:
        return 0.0 < time.perf_counter() - self.began - self.size.before < self.size.trouble

    def call(self, _: Any) -> None:
        time.sleep(self.slow if self.lasts() else 0.001)


def watched(handle: Any, times: list[float]) -> None:
    """Keep the time of every release of this run; a rehearsal is another one."""
    flow = type(handle.flow)
    release = flow.release

    def kept(which: Any, *args: Any) -> Any:
        permit = release(which, *args)
        if permit is not None and which is handle.flow:
            times.append(permit.released)
        return permit

    flow.release = kept


def looped(size: Size, policy: str, items: Iterator[int], times: list[float]) -> Any:
    live = tpssim.throttle(items, TPS, late=policy)
    watched(live, times)
    for k in live:
        if k == int(size.before * TPS):
            print("going", flush=True)
    return live.report()


def stopped(size: Size, policy: str, times: list[float]) -> Any:
    """The parent stops this process as soon as it says that it is going."""
    return looped(size, policy, iter(range(size.calls)), times)


def empty_source(size: Size, policy: str, times: list[float]) -> Any:
    def items() -> Iterator[int]:
        for k in range(size.calls):
            if k == int(size.before * TPS):
                time.sleep(size.trouble)
            yield k

    return looped(size, policy, items(), times)


def pooled(slow: float, workers: int, controller: Any) -> Callable[[Size, str, list[float]], Any]:
    def made(size: Size, policy: str, times: list[float]) -> Any:
        service = Trouble(size, slow)

        def started(handle: Any) -> None:
            watched(handle, times)
            service.began = time.perf_counter()

        options = {"workers": workers, "controller": controller, "late": policy}
        return tpssim.run(service.call, range(size.calls), TPS, started=started, **options).report

    return made


#: Name, what to run, and the words of which the headline has one.
SCENARIOS: dict[str, tuple[Callable[[Size, str, list[float]], Any], tuple[str, ...]]] = {
    "stop": (stopped, ("this process was stopped",)),
    "empty source": (empty_source, ("the source was empty",)),
    "full pool": (
        pooled(0.2, 4, None),
        ("limited by the workers", "calls began in one second", "waited"),
    ),
    "limit": (pooled(0.5, 8, Two()), ("the limit of Two",)),
    "recovery": (
        pooled(0.4, 20, "auto"),
        ("held back by", "limited by the workers", "began in one second"),
    ),
}


def child(name: str, policy: str, size: Size) -> None:
    """One run; its numbers as a line of JSON."""
    times: list[float] = []
    report = SCENARIOS[name][0](size, policy, times)
    window, most, start = 1.0 - 1e-9, 0, 0
    for i, now in enumerate(times):
        while times[start] <= now - window:
            start += 1
        most = max(most, i - start + 1)
    fields = ("late_max", "most_in_1s", "most_begun_in_1s", "rate", "skipped", "lost", "verdict")
    print(json.dumps({"counted": most, **{field: getattr(report, field) for field in fields}}))


def allowed(policy: str, late_max: float) -> float:
    """The most releases in a second: what is on schedule, and what the policy catches up at
    once.
    """
    more = {
        "auto": 0.1 * TPS,
        "burst": late_max * TPS,
        "capped(20)": 20.0,
        "delay": 0.0,
        "skip": 1.0,
    }
    return TPS + more[policy] + 1.0


def found_of(job: tuple[str, str], size: Size) -> dict[str, Any]:
    """What a child has to say of its run. That of a stop is stopped for a while."""
    name, policy = job
    words = [sys.executable, __file__, "--child", name, policy, json.dumps(size)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if name in ("stop", "empty source"):
        assert process.stdout.readline() == "going\n"
    if name == "stop":
        time.sleep(0.1)  # its line was written in the body; it should be waiting
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(size.trouble)
        os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=120.0)
    found: dict[str, Any] = json.loads(out)
    return found


def judged(name: str, policy: str, found: dict[str, Any]) -> list[str]:
    """What is wrong with a run."""
    most, limit = found["most_in_1s"], allowed(policy, found["late_max"])
    said, words = found["verdict"], SCENARIOS[name][1]
    wrong = []
    if most != found["counted"]:
        wrong.append(f"the report counts {most:.0f} in a second, there were {found['counted']}")
    if most > limit:
        wrong.append(f"{most:.0f} in a second are more than {policy} allows, {limit:.0f}")
    if found["skipped"] == 0.0 and most > TPS + 0.1 * TPS + 1.0:
        words = (*words, "released in one second")  # nothing was lost: it was caught up
    words = (*words, "released late")  # on a machine that is too busy, that comes first
    if not any(word in said for word in words):
        wrong.append("the headline does not name it")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="The ceiling of a live run that falls behind.")
    parser.add_argument("--smoke", action="store_true", help="short, and two of the policies")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        name, policy, size = args.child
        child(name, policy, Size(*json.loads(size)))
        return 0
    if not hasattr(signal, "SIGSTOP"):
        print(f"skipped benchmarks/{os.path.basename(__file__)}: no SIGSTOP on this system")
        return 0
    size, policies = (SMOKE, POLICIES[:2]) if args.smoke else (Size(), POLICIES)
    print(
        f"{TPS:g}/s, {size.trouble:g} s of trouble; the most releases in any second, and what is"
        " allowed"
    )
    failed = 0
    jobs = list(itertools.product(SCENARIOS, policies))
    with ThreadPoolExecutor(max_workers=10) as pool:
        for (name, policy), found in zip(
            jobs, pool.map(lambda job: found_of(job, size), jobs), strict=True
        ):
            wrong = judged(name, policy, found)
            failed += bool(wrong)
            counts = f"{found['most_in_1s']:4.0f} of {allowed(policy, found['late_max']):4.0f}"
            mark = "FAILS" if wrong else "holds"
            print(f"  {mark}: {name:13}{policy:11}{counts}  {found['verdict']}", flush=True)
            for text in wrong:
                print(f"         {text}")
    return 1 if failed and not args.smoke else 0


if __name__ == "__main__":
    sys.exit(main())
