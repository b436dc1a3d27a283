"""Which late policy a scenario has, and what a comparison says of calls beyond the wanted rate."""

from __future__ import annotations

import numpy as np
import pytest

from tpssim import compare, measure, simulate, trace_scenario
from tpssim.controllers.article import PRINTED, TWINS
from tpssim.core.schedule import AUTO, BURST
from tpssim.metrics.verdicts import bursts, judge
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.plant import Async
from tpssim.scenarios.recordings import SQLITE_COMMITS
from tpssim.scenarios.scenario import Scenario, with_late
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.trace import Trace


def test_the_core_keeps_what_was_missed_and_the_others_do_not() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.late == (BURST if name in CORE else AUTO), name
    assert Scenario("mine", Constant(0.02), 100.0, 5.0).late == AUTO
    assert trace_scenario(SQLITE_COMMITS, column="service_s", unit="s").late == AUTO
    assert [str(s.late) for s in with_late(SCENARIOS["stall"], [AUTO, BURST])] == ["auto", "burst"]


@pytest.mark.parametrize("law", ["fixed", "headroom"])
def test_nothing_is_made_up_for_when_a_pool_s_service_recovers(law: str) -> None:
    trace = simulate("pool-degrade:duration=40", law, engine="simpy")
    # 300 a second are wanted: at most 1.1 x 300 + 1 in any second.
    assert measure(trace)["burst_1s"] <= 331.0


#: 100 a second by hand-off; for two seconds nothing can be handed off.
STOPPED = Scenario("s", Constant(0.001), 100.0, 8.0, disturbances=(Stall(3.0, 5.0),))


def test_a_verdict_names_what_was_released_beyond_the_wanted_rate() -> None:
    # The stall costs 200 slots of 10 ms; with calls of 1 ms they are made up for in 0.22 s: 200 /
    # 0.9 of them while slots go on, so that the busiest second holds 300.
    found = bursts(
        measure(simulate(STOPPED._replace(late=BURST), "fixed", engine="simpy")), STOPPED
    )
    assert found.startswith("releases up to 300 calls in a second")
    assert bursts(measure(simulate(STOPPED, "fixed", engine="simpy")), STOPPED) == ""


def test_a_verdict_names_what_was_skipped() -> None:
    # Of 800 slots some 190 lie in the stall and not in the 0.1 s before its end.
    verdict = judge(simulate(STOPPED, "fixed", engine="simpy"))
    assert verdict.reason.endswith("% of the slots skipped")


def ran(released: list[float], target: float) -> Trace:
    times = np.array(released)
    trace = simulate(Scenario("s", Constant(0.01), target, 4.0, Async()), "fixed", engine="simpy")
    n = len(times)
    columns = {
        name: getattr(trace, name)[:1].repeat(n)
        for name in ("latency", "rate", "limit", "in_flight")
    }
    return trace._replace(
        scheduled=times,
        released=times,
        completed=times + 0.01,
        outcome=trace.outcome[:1].repeat(n),
        producer=trace.producer[:1].repeat(n),
        **columns,
    )


def test_the_busiest_second_is_half_open() -> None:
    # From 0.5 s to just before 1.5 s there are four; the one at 1.5 s is the next second's.
    assert measure(ran([0.5, 0.7, 1.0, 1.49, 1.5], 2.0))["burst_1s"] == 4.0


@pytest.mark.parametrize("printed", list(TWINS))
def test_code_with_its_own_schedule_runs_on_every_scenario(printed: str) -> None:
    result = compare(
        SCENARIOS["healthy"]._replace(duration=1.0), [printed, TWINS[printed]], replications=1
    )
    assert len(result.cells) == 2
    assert result.twins() == []  # equal they are where everything is made up for
    assert printed in PRINTED


def test_in_each_replication_the_printed_throttle_makes_up_for_everything() -> None:
    result = compare(STOPPED._replace(name="stopped"), "printed-spin", replications=2)
    (cell,) = result.cells.values()
    assert [run.measures["skipped"] for run in cell.runs] == [0.0, 0.0]
    assert [run.measures["throughput"] for run in cell.runs] == [100.0, 100.0]
