"""Each definition determines its value: `measure` equals an implementation written from the text
alone.
"""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from helpers.independent_measures import independent
from helpers.laws import SetOnce

from tpssim.controllers.article import TWINS
from tpssim.core.profiles import Stages
from tpssim.metrics.measure import METRICS, TERMS, measure
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.disturbances import Ramp, Stall, Step
from tpssim.scenarios.load import profiles
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal
from tpssim.simulation.run import simulate
from tpssim.simulation.trace import Trace

#: Laws of rate, of calls in flight and of admission; one that holds still; a throttle as printed.
LAWS = (
    "aimd",
    "headroom",
    "netflix-gradient2",
    "netflix-aimd",
    "sre-throttling",
    "fixed",
    "printed-aimd",
)


def agree(trace: Trace) -> None:
    got, text = measure(trace), independent(trace)
    assert list(got) == list(text) == list(METRICS)
    for name, value in text.items():
        assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


def short(scenario: Scenario) -> Scenario:
    """No longer than it takes to see the last disturbance and producer begin, and some seconds
    more.
    """
    starts = [thing.start for thing in (*scenario.disturbances, *scenario.producers)]
    return scenario._replace(duration=min(scenario.duration, max(starts) + 12.0))


@pytest.mark.parametrize("law", LAWS)
def test_the_definitions_determine_every_value(law: str) -> None:
    """On every other scenario, so that each is run by three of the laws or four."""
    for scenario in [*SCENARIOS.values()][LAWS.index(law) % 2 :: 2]:
        printable = len(scenario.producers) == 1 and not profiles(scenario)
        printable = printable and scenario.cost is None and scenario.feedback is None
        if law not in TWINS or printable:
            agree(simulate(short(scenario), law, seed=3))


PLANT = Scenario("p", Lognormal(0.02, 0.5), 40.0, 24.0)
DROP = PLANT._replace(disturbances=(Step(6.0, 12.0, 4.0),))
SHARED = PLANT._replace(
    producers=(Producer(), Producer(4.0), Producer(6.0, 15.0)), backend=Backend(servers=2.0)
)
#: Over what the plant can take, down with a jump and a ramp, and up again.
RAMPS = Stages("6s:80,2s:80,0s:20,6s:20,5s:0,0s:30,5s:30")
OWN = (
    Producer(target=Stages("12s:60,12s:10")),
    Producer(4.0, target=10.0),
    Producer(6.0, 15.0, target=Stages("6s:0,6s:30,12s:0")),
)


@pytest.mark.parametrize(
    ("scenario", "law"),
    [
        (DROP, "ewma-deadzone"),  # never back
        (DROP._replace(consumer=Pool(8.0)), "netflix-vegas"),
        (DROP._replace(consumer=Pool(8.0)), SetOnce(limit=2.0)),  # held
        (DROP, SetOnce(reject=0.3)),
        (PLANT, SetOnce(reject=1.0)),  # no call at all
        (PLANT._replace(disturbances=(Stall(0.0, 24.0),)), "aimd"),  # nothing is achievable
        (PLANT._replace(disturbances=(Ramp(3.0, 20.0, 5.0),)), "aimd"),
        (PLANT._replace(disturbances=(Ramp(3.0, 9.5, 5.0), Step(12.0, 14.0, 3.0))), "pid"),
        (SHARED, "aimd"),
        (SHARED._replace(disturbances=(Step(6.5, 12.0, 3.0),)), "busy-time"),
        (SHARED._replace(consumer=Async(0.001, "completion")), "netflix-aimd"),
        (SHARED._replace(consumer=Pool(4.0, 2.0)), "netflix-gradient"),
        (PLANT._replace(consumer=Async(0.005)), "fixed"),
        (PLANT._replace(backend=Backend(failure=0.2)), "gozero-breaker"),
        (PLANT._replace(backend=Backend(failure=0.2), timeout=0.03), "aimd"),
        (PLANT._replace(network=Constant(0.05), consumer=Pool(2.0)), "headroom"),
        (PLANT._replace(duration=0.5), "aimd"),
        (PLANT._replace(duration=7.75, poisson=1.0), "aimd-epoch"),
        (DROP._replace(target=0.3), "aimd"),  # fewer calls than seconds
        (PLANT._replace(target=RAMPS), "fixed"),
        (PLANT._replace(target=RAMPS), "aimd"),
        (DROP._replace(target=RAMPS), "headroom"),
        (DROP._replace(target=RAMPS, consumer=Pool(8.0)), "netflix-aimd"),
        (PLANT._replace(target=Stages("6s:40,0s:5,12s:30,6s:0", start=10.0)), "aimd"),
        (SHARED._replace(producers=OWN), "busy-time"),
        (PLANT._replace(target=2000.0, cost=Lognormal(50.0, 1.0)), "aimd"),
        (
            PLANT._replace(
                target=Stages("6s:2000,0s:500,18s:3000"),
                cost=Lognormal(50.0, 1.0),
                backend=Backend(quotas=(ServiceQuota(20.0, 2.0),)),
            ),
            "fixed",
        ),
    ],
)
def test_the_definitions_determine_odd_runs_too(scenario: Scenario, law: Any) -> None:
    agree(simulate(scenario, law, seed=1))


def throttle(items: object, tps: float, total: int) -> object:
    """Code that shows no rate: every third call late."""
    import time

    begun = time.perf_counter()
    for i, item in enumerate(items):  # type: ignore[arg-type,var-annotated]
        time.sleep(max(0.0, begun + (i + (i % 3 == 0)) / tps - time.perf_counter()))
        yield item


def test_the_definitions_determine_runs_of_hidden_code() -> None:
    trace = simulate(DROP, throttle)
    assert math.isnan(trace.rate[0])
    agree(trace)


def test_what_is_counted_while_it_runs_is_what_the_rows_say() -> None:
    """An interval or more behind: of calls that were all released, at the rate then in force."""
    for law in ("fixed", "aimd", "busy-time"):
        trace = simulate(DROP, law)
        interval = 1.0 / trace.rate.clip(max=trace.scenario.target)
        late = trace.released - trace.scheduled
        assert measure(trace)["caught_up"] == float((late >= interval).sum()) > 0.0


def test_every_term_is_a_word_of_the_definitions() -> None:
    """None that no definition uses; those without which none can be computed are there."""
    definitions = " ".join(metric.definition for metric in METRICS.values())
    words = [word for term in TERMS for word in term.split(", ")]
    assert [
        word for word in words if not re.search(rf"\b{word.removesuffix('s')}", definitions)
    ] == []
    assert {
        "capacity",
        "achievable",
        "phase",
        "steady window",
        "command",
        "bins",
        "percentile",
    } <= set(words)
