"""What users complain about, `USER_REPORTS`: for each a scenario that provokes it, and the law that
it is about.

The scenarios are also among the built-in ones, so every other law can be tried on them. Sources are
public threads; the scenarios are ours.
"""

from __future__ import annotations

from typing import NamedTuple

from tpssim.core.types import record
from tpssim.scenarios.disturbances import Stall, Step, Swap
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, Lognormal, Recorded

#: Calls in flight at once, whose end the law observes: what a limit needs to have something to
#: limit.
IN_FLIGHT = Async(0.0, "completion")


@record
class UserReport(NamedTuple):
    """A scenario, the law that fares badly in it (as it was when that was reported), and
    why.
    """

    scenario: Scenario
    law: str  #: as for `simulate`: NAME:key=value,...
    about: str  #: what goes wrong
    source: str  #: where it was reported


_ALL = (
    UserReport(
        Scenario(
            name="constant-timeouts",
            service=Constant(0.05),
            target=100.0,
            duration=60.0,
            consumer=IN_FLIGHT,
            disturbances=(Stall(10.0, 45.0),),
            backend=Backend(servers=20.0),
            timeout=1.0,
            summary=(
                "a service that stands still from 10 s to 45 s: each call ends with its timeout"
                " of 1 s"
            ),
        ),
        "netflix-gradient2",
        "latencies that are all the timeout look steady, so the limit climbs to its maximum, and"
        " the service has the dead calls to work off when it is back",
        "Netflix/concurrency-limits#137",
    ),
    UserReport(
        Scenario(
            name="lucky-minimum",
            service=Recorded((0.1,) * 499 + (0.01,), "one call in 500 a tenth as long"),
            target=250.0,
            duration=40.0,
            consumer=IN_FLIGHT,
            backend=Backend(servers=20.0),
            summary=(
                "20 servers, 200 calls a second of 0.1 s; one call in 500 takes a tenth of that"
            ),
        ),
        "netflix-vegas:probe_multiplier=1e6",
        "one lucky round trip is the least for ever after, so ordinary ones look queued and the"
        " limit collapses (filed before the law probed for a new least)",
        "Netflix/concurrency-limits#37",
    ),
    UserReport(
        Scenario(
            name="baseline-drift",
            service=Lognormal(0.02, 0.2),
            target=500.0,
            duration=60.0,
            consumer=IN_FLIGHT,
            disturbances=(Step(10.0, 50.0, 4.0),),
            backend=Backend(servers=20.0),
            summary=(
                "20 servers that take four times as long from 10 s to 50 s, and then can sustain"
                " half of what is wanted"
            ),
        ),
        "failsafe-adaptive:period=0.2",
        "in a long incident the baseline drifts to the bad latency, the estimated queue is gone and"
        " the limit grows again while nothing is better",
        "failsafe-go/failsafe-go#127",
    ),
    UserReport(
        Scenario(
            name="creep",
            service=Constant(0.02),
            target=600.0,
            duration=60.0,
            consumer=IN_FLIGHT,
            backend=Backend(servers=10.0),
            summary="10 servers for 500 a second where 600 are wanted, all the time",
        ),
        "netflix-gradient2:window=0.1",
        "the queue that is added at each step outweighs the gradient: limit and latency creep up"
        " for ever",
        "Netflix/concurrency-limits#134",
    ),
    UserReport(
        Scenario(
            name="zero-rate",
            service=Constant(0.005),
            target=100.0,
            duration=30.0,
            disturbances=(Swap(0.0, 10.0, Constant(0.25)),),
            summary=(
                "a blocking service that sustains 4 a second at first, and twice the target from"
                " 10 s on"
            ),
        ),
        "spark-pid:ki=10,min_rate=0.01",
        "the rate falls to almost nothing, so nothing ends that could tell the law to raise it",
        "apache/spark SPARK-9966",
    ),
    UserReport(
        Scenario(
            name="slow-recovery",
            service=Constant(0.2),
            target=200.0,
            duration=45.0,
            consumer=IN_FLIGHT,
            disturbances=(Stall(10.0, 25.0),),
            backend=Backend(servers=80.0),
            timeout=1.0,
            summary=(
                "80 servers, half of them busy with calls of 0.2 s; from 10 s to 25 s all calls"
                " time out"
            ),
        ),
        "vector-arc",
        "an outage takes the limit to its floor, from where it gains one call in a round trip at"
        " best",
        "vectordotdev/vector#3255",
    ),
    UserReport(
        Scenario(
            name="probe-rejections",
            service=Lognormal(0.1, 0.1),
            target=200.0,
            duration=40.0,
            consumer=IN_FLIGHT,
            backend=Backend(servers=60.0),
            summary=(
                "60 servers that can sustain three times what is wanted, all the time: no call"
                " need ever wait"
            ),
        ),
        "envoy-gradient:probe_every=10",
        "to measure the least latency the limit drops to its floor, and a healthy service is held"
        " back",
        "envoyproxy/envoy#8337",
    ),
    UserReport(
        Scenario(
            name="fast-errors",
            service=Constant(0.05),
            target=100.0,
            duration=30.0,
            consumer=IN_FLIGHT,
            backend=Backend(rate=50.0),
            summary=(
                "a quota of 50 a second that counts refused calls; who asks for more is quickly"
                " refused"
            ),
        ),
        "scrapy-autothrottle:concurrency=4",
        "a quick refusal looks like a quick service, so nothing ever slows it down",
        "scrapy/scrapy#6458",
    ),
    UserReport(
        Scenario(
            name="cuts-per-event",
            service=Constant(0.2),
            target=100.0,
            duration=30.0,
            consumer=IN_FLIGHT,
            disturbances=(Stall(15.0, 16.0),),
            backend=Backend(servers=150.0),
            summary=(
                "150 servers, 20 of them busy with calls of 0.2 s, and one stall of a second at"
                " 15 s"
            ),
        ),
        "netflix-aimd:timeout=0.5,min_limit=1",
        "every call that was under way in one event cuts again, and one stall takes the limit to"
        " its floor",
        "resilience4j/resilience4j#1177",
    ),
    UserReport(
        Scenario(
            name="idle-growth",
            service=Constant(0.05),
            target=100.0,
            duration=40.0,
            consumer=IN_FLIGHT,
            disturbances=(Step(20.0, 30.0, 8.0),),
            backend=Backend(servers=20.0),
            summary=(
                "20 servers with 5 calls in flight; from 20 s to 30 s they can sustain half of"
                " what is wanted"
            ),
        ),
        "envoy-gradient",
        "while few calls are wanted the limit grows to its maximum, and protects nothing when it is"
        " needed",
        "RFC 9438 section 5.8",
    ),
    UserReport(
        Scenario(
            name="few-samples",
            service=Constant(0.25),
            target=16.0,
            duration=60.0,
            consumer=IN_FLIGHT,
            backend=Backend(servers=2.0),
            summary=(
                "two servers for 8 a second where 16 are wanted: too few calls for many a window"
            ),
        ),
        "brpc-auto",
        "a window with too few samples is thrown away, so at a low rate the limit never moves",
        "apache/brpc#380",
    ),
    UserReport(
        Scenario(
            name="join-leave-in-flight",
            service=Lognormal(0.1, 0.2),
            target=80.0,
            duration=60.0,
            consumer=IN_FLIGHT,
            backend=Backend(servers=10.0),
            producers=(Producer(), Producer(15.0), Producer(30.0, 45.0)),
            summary=(
                "ten servers for 100 a second; a second producer comes at 15 s, a third from 30 s"
                " to 45 s, each with many calls in flight"
            ),
        ),
        "netflix-vegas:probe_multiplier=1e6",
        "whoever comes last takes the others' queue for the service's own time, and gets the"
        " largest share",
        "RFC 6817, the latecomer's advantage",
    ),
)

USER_REPORTS: dict[str, UserReport] = {report.scenario.name: report for report in _ALL}
