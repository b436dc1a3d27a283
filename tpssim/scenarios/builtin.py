"""The built-in scenarios, `SCENARIOS`: the `CORE`, crowded services, loads over time and quotas
(`LOADS`), and what users complain about. And one of a recording.
"""

from __future__ import annotations

from pathlib import Path

from tpssim.core.schedule import BURST
from tpssim.core.timer_models import TIMERS
from tpssim.core.validation import checked, ranges
from tpssim.scenarios.disturbances import Stall, Step, Swap
from tpssim.scenarios.loads import LOADS
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.recordings import SQLITE_COMMITS, ServiceTimes, read
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_times import Constant, Lognormal, Pareto, Recorded
from tpssim.scenarios.user_reports import IN_FLIGHT, USER_REPORTS


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def trace_scenario(
    path: str | Path,
    *,
    column: str | None = None,
    unit: str | None = None,
    cost: str | None = None,
    target: float | None = None,
) -> Scenario:
    """A blocking consumer whose service times are replayed from a CSV file (`read_service_times`).

    `cost` is a column of what each call costs (tokens, say), which stays with its call; the target
    counts it then. `target` defaults to twice the mean rate of the recording, in two digits, so
    that a throttle has something to find; the run is long enough for 6,000 calls at that mean rate.
    Raises `InputError`.

    >>> from tpssim.scenarios.recordings import SQLITE_COMMITS
    >>> recorded = trace_scenario(SQLITE_COMMITS, column="service_s", unit="s")
    >>> recorded.summary, recorded.target
    ('4000 recorded service times from sqlite_commits.csv', 1500.0)
    """
    return recorded_scenario(read(path, column=column, unit=unit, cost=cost), path, target)


def recorded_scenario(
    found: ServiceTimes, path: str | Path, target: float | None = None
) -> Scenario:
    """`trace_scenario` of a file that has been read; raises `InputError`."""
    shown, name = f"trace {str(path)!r}", Path(path).name
    service = checked(Recorded(found.times, name), shown)
    cost = checked(Recorded(found.costs, name), f"{shown}: cost") if found.costs else None
    most = ranges(Scenario)["target"].high  # calls of less than two microseconds ask for more
    usual = 2.0 / service.mean * (1.0 if cost is None else cost.mean)
    wanted = min(_two_digits(usual), most) if target is None else target
    lost = found.failed + found.left_out.rows
    failed = f"; {lost:,} failed {'call' if lost == 1 else 'calls'} left out" if lost else ""
    return checked_scenario(
        Scenario(
            name="trace",
            service=service,
            target=wanted,
            duration=_two_digits(6000.0 * service.mean),
            cost=cost,
            summary=(
                f"{len(service.recording)} recorded service times from {service.source}{failed}"
            ),
        )
    )


_PLAIN = (
    Scenario(
        name="fast-async",
        service=Lognormal(0.02, 0.5),
        target=500.0,
        duration=20.0,
        consumer=Async(),
        summary="calls that only hand off, in 20 us: nothing to adapt to",
    ),
    Scenario(
        name="blocking-steady",
        service=Lognormal(0.02, 0.5),
        target=100.0,
        duration=60.0,
        summary="a blocking service that can sustain half of the target, with noise",
    ),
    Scenario(
        name="degrade-recover",
        service=Constant(0.0005),
        target=200.0,
        duration=60.0,
        disturbances=(Swap(10.0, 30.0, Lognormal(0.02, 0.5)),),
        summary="fast, then slow and noisy from 10 s to 30 s, then fast again",
    ),
    Scenario(
        name="spikes",
        service=Lognormal(0.002, 0.1),
        target=200.0,
        duration=60.0,
        disturbances=tuple(Step(at, at + 0.5, 50.0) for at in (10.0, 20.0, 30.0, 40.0)),
        summary="a healthy service that stops almost dead for half a second, four times",
    ),
    Scenario(
        name="heavy-tail",
        service=Pareto(0.005, 1.5),
        target=100.0,
        duration=60.0,
        summary="twice the capacity that is wanted, but service times of infinite variance",
    ),
    Scenario(
        name="drift",
        service=Lognormal(0.02, 0.5),
        target=500.0,
        duration=60.0,
        consumer=Async(),
        timer=TIMERS["linux"],
        summary="fast calls on the timer of a Linux machine: who keeps time?",
    ),
    Scenario(
        name="stall",
        service=Lognormal(0.001, 0.3),
        target=200.0,
        duration=30.0,
        disturbances=(Stall(10.0, 12.0),),
        summary=(
            "a service that stands still for two seconds: what becomes of the 400 missed slots?"
        ),
    ),
    Scenario(
        name="join-leave",
        service=Lognormal(0.01, 0.5),
        target=80.0,
        duration=60.0,
        backend=Backend(servers=1.0),
        producers=(Producer(), Producer(15.0), Producer(30.0, 45.0)),
        summary=(
            "one server for 100 a second; a second producer comes at 15 s, a third from 30 s to"
            " 45 s"
        ),
    ),
    trace_scenario(SQLITE_COMMITS)._replace(
        name="sqlite-commits", summary="a real recording: durable SQLite commits, blocking"
    ),
)

#: They keep what was missed, as the article's throttles do, whose twins must equal them to the bit.
_CORE = tuple(scenario._replace(late=BURST) for scenario in _PLAIN)

#: Many calls in flight on a shared service, where a limit can act.
_CROWDED = (
    Scenario(
        name="healthy",
        service=Lognormal(0.02, 0.5),
        target=400.0,
        duration=30.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=16.0),
        summary=(
            "many calls in flight on a service that can sustain twice the target: what does a law"
            " cost?"
        ),
    ),
    Scenario(
        name="overload",
        service=Lognormal(0.02, 0.5),
        target=600.0,
        duration=30.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=8.0, places=400.0),
        summary=(
            "many calls in flight; 600 a second are wanted of a queue that serves 400 and holds 400"
        ),
    ),
    Scenario(
        name="pool-degrade",
        service=Lognormal(0.02, 0.5),
        target=300.0,
        duration=60.0,
        consumer=Pool(64.0),
        backend=Backend(servers=8.0),
        disturbances=(Step(10.0, 30.0, 4.0),),
        summary="64 threads on a service that sustains 400 a second, and 100 from 10 s to 30 s",
    ),
    Scenario(
        name="refusing",
        service=Lognormal(0.1, 0.3),
        target=300.0,
        duration=30.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=20.0, places=0.0),
        summary=(
            "a service that takes 20 calls at a time, 200 a second, and refuses all others at once"
        ),
    ),
    Scenario(
        name="knee",
        service=Lognormal(0.05, 0.3),
        target=600.0,
        duration=30.0,
        consumer=IN_FLIGHT,
        backend=Backend(knee=20.0, exponent=1.02),
        summary="a service that slows down exponentially beyond 20 calls at a time",
    ),
)

#: The names of those that show what a throttle is for; a comparison takes them if none are named
#: others.
CORE = tuple(scenario.name for scenario in _CORE)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: checked_scenario(scenario)
    for scenario in (
        *_CORE,
        *_CROWDED,
        *LOADS,
        *(report.scenario for report in USER_REPORTS.values()),
    )
}
