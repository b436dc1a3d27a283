"""What a record of a comparison says of a scenario with every kind of load."""

from __future__ import annotations

import json
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.experiments.comparison_record import scenario_part
from tpssim.output.records.checks import fault
from tpssim.output.records.comparisons import ScenarioPart
from tpssim.scenarios.disturbances import Background
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal

PLAIN = Scenario("s", Constant(0.25), 8.0, 10.0)


def part(**changes: Any) -> dict[str, Any]:
    """The part of a record, as its file has it."""
    found = scenario_part(checked_scenario(PLAIN._replace(**changes)), "", {})
    found["throttles"] = {}
    read: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    assert not fault(read, ScenarioPart, "")
    return read


def test_each_part_of_a_load_is_a_field() -> None:
    own = Producer(2.0, target=Stages("5s:50"), weight=2.0, law=CONTROLLERS["fixed"]())
    found = part(
        target=Stages("4s:8,6s:0"),
        cost=Lognormal(400.0, 1.0),
        network=Constant(0.01),
        feedback=Feedback(3.0, 1.5),
        quotas=(Quota(500.0, 60.0),),
        backend=Backend(quotas=(ServiceQuota(200e3, 60.0, "cost", retry_after=1.0),)),
        disturbances=(Background(1.0, 2.0, 3.0),),
        producers=(Producer(), own),
    )
    assert (found["target"], found["stages"]) == (50.0, "4s:8,6s:0")
    assert found["cost"] == {"kind": "Lognormal", "mean": 400.0, "cv": 1.0}
    assert found["network"]["mean"] == 0.01
    assert (found["feedback"]["period"], found["feedback"]["delay"]) == (3.0, 1.5)
    assert [quota["amount"] for quota in found["quotas"]] == [500.0]
    assert [quota["of"] for quota in found["backend"]["quotas"]] == ["cost"]
    assert found["disturbances"][0] == {"kind": "Background", "start": 1.0, "end": 2.0, "rate": 3.0}
    assert found["producers"][1]["target"] == "5s:50"
    assert found["producers"][1]["law"]["kind"] == type(CONTROLLERS["fixed"]()).__name__
    assert found["producers"][1]["weight"] == 2.0


def test_a_recording_of_arrivals_is_its_number() -> None:
    assert part(arrivals=(0.0, 1.0, 1.5))["arrivals"] == 3


def test_what_a_scenario_has_not_is_no_field() -> None:
    rare = {"stages", "arrivals", "quotas", "network", "cost", "feedback"}
    assert not rare & part().keys()
    assert part()["target"] == 8.0
