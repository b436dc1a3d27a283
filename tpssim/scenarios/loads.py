"""Built-in scenarios whose load has a shape, or whose service has quotas: `LOADS`."""

from __future__ import annotations

from tpssim.core.profiles import Stages
from tpssim.scenarios.disturbances import Background, Step
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Lognormal
from tpssim.scenarios.user_reports import IN_FLIGHT

#: A day in 96 s: what is wanted at the end of each second hour, calls per second.
DAY = "8s:60,8s:40,8s:60,8s:160,8s:260,8s:300,8s:280,8s:280,8s:400,8s:600,8s:400,8s:140"

LOADS = (
    Scenario(
        name="ramp-up",
        service=Lognormal(0.05, 0.3),
        target=Stages("40s:320,10s:320,10s:0"),
        duration=60.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=8.0, places=400.0),
        summary="the load climbs in 40 s to twice the 160 a second that the service takes",
    ),
    Scenario(
        name="daily-tide",
        service=Lognormal(0.05, 0.3),
        target=Stages(DAY, start=140.0),
        duration=96.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=20.0, places=400.0),
        summary="a day in 96 s; in the evening more is wanted than the 400 a second that are there",
    ),
    Scenario(
        name="flash-crowd",
        service=Lognormal(0.04, 0.3),
        target=Stages("0s:60,15s:60,1s:600,9s:600,5s:60,30s:60"),
        duration=60.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=8.0, places=2000.0),
        timeout=5.0,
        summary="60 a second, and 600 for ten seconds, of a service that takes 200 and queues",
    ),
    Scenario(
        name="llm-quota",
        service=Lognormal(0.5, 0.5),
        target=6000.0,
        duration=240.0,
        consumer=IN_FLIGHT,
        cost=Lognormal(500.0, 1.0),
        backend=Backend(
            per_cost=0.002,
            quotas=(
                ServiceQuota(500.0, 60.0, retry_after=1.0),
                ServiceQuota(200e3, 60.0, of="cost", retry_after=1.0),
            ),
        ),
        summary=(
            "6,000 tokens a second of a service that takes 500 calls and 200,000 tokens a minute"
            " (429 with Retry-After)"
        ),
    ),
    Scenario(
        name="shared-quota",
        service=Lognormal(0.05, 0.3),
        target=50.0,
        duration=60.0,
        consumer=IN_FLIGHT,
        backend=Backend(quotas=(ServiceQuota(100.0, 1.0),)),
        producers=(Producer(), Producer(), Producer(20.0, 40.0)),
        summary="three clients that want 50 a second each share a quota of 100 (429 beyond it)",
    ),
    Scenario(
        name="noisy-neighbour",
        service=Lognormal(0.05, 0.3),
        target=200.0,
        duration=60.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=16.0, places=400.0),
        disturbances=(Background(20.0, 40.0, 250.0),),
        summary="200 a second of 320; from 20 s to 40 s another client sends 250 there",
    ),
    Scenario(
        name="central-control",
        service=Lognormal(0.02, 0.5),
        target=300.0,
        duration=60.0,
        consumer=IN_FLIGHT,
        backend=Backend(servers=8.0, places=400.0),
        disturbances=(Step(20.0, 40.0, 4.0),),
        feedback=Feedback(period=1.0, delay=1.0),
        summary="a central controller sees sums of a second, a second late; 400 a second, then 100",
    ),
)
