"""`recommend`: the answer to a known service is the one that theory gives."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Constant, Exponential, InputError, Scenario, ServiceQuota, Stages
from tpssim.experiments.fitting.held_out import Check, Row
from tpssim.experiments.recommending.candidates import PLAIN, Candidate, law, laws, plain, tuned
from tpssim.experiments.recommending.choice import better_in, chosen
from tpssim.experiments.recommending.code import code
from tpssim.experiments.recommending.promises import widened
from tpssim.experiments.recommending.purposes import PURPOSES
from tpssim.experiments.recommending.services import services_of
from tpssim.experiments.recommending.trials import Outcome, outcomes
from tpssim.metrics.score import PARTS
from tpssim.output.records import from_dict
from tpssim.scenarios.load import with_arrivals

#: 83 calls in any 10 s, of which each takes 1 ms; 30 a second are wanted.
QUOTA = Scenario(
    "quota",
    Constant(0.001),
    30.0,
    60.0,
    Async(feedback="completion"),
    backend=Backend(quotas=(ServiceQuota(83.0, 10.0),)),
)
#: M/M/4 with 10 ms, so 400 a second; 600 are wanted, and a call counts within 100 ms.
OVERLOAD = Scenario(
    "overload",
    Exponential(0.01),
    600.0,
    5.0,
    Async(feedback="completion"),
    backend=Backend(servers=4.0),
)


def outcome(candidate: Candidate, *values: float, p99: float = 0.1) -> Outcome:
    return Outcome(candidate, tuple({"latency_p99": p99} for _ in values), values)


def test_rates_below_a_quota_and_below_the_least_capacity() -> None:
    found = {one.tps: one.because for one in plain(QUOTA)}
    assert found == {
        None: "as wanted",
        8.13: "0.98 of the quota of 83 calls in 10 s",  # 0.98 * 8.3 = 8.134
        7.47: "0.9 of the least capacity",
    }
    slower = OVERLOAD._replace(disturbances=(tpssim.Step(2.0, 4.0, 2.0),))
    assert [one.tps for one in plain(slower)] == [None, 180.0]  # 0.9 of 4 / 20 ms


def test_a_load_of_its_own_shape_is_left_as_it_is() -> None:
    shaped = OVERLOAD._replace(target=Stages("10s:600,10s:600"))
    for scenario in (shaped, OVERLOAD._replace(poisson=1.0)):
        assert [one.tps for one in plain(scenario)] == [None]


def test_limits_are_no_candidates_where_calls_block() -> None:
    labels = {one.label for one in laws(tpssim.SCENARIOS["blocking-steady"])}
    assert "netflix-vegas" not in labels
    assert {"headroom", "aimd"} <= labels
    assert "netflix-vegas" in {one.label for one in laws(OVERLOAD)}


def test_less_effort_wins_where_more_gains_less_than_a_hundredth() -> None:
    none, given = Candidate("none", PLAIN, None, None), law("headroom")
    better = tuned(given.law._replace(queue=2.3456), given.law)
    assert better is not None
    assert tuned(given.law, given.law) is None
    assert better.label == "headroom:queue=2.35"  # three digits
    found = [outcome(none, 0.5, 0.7), outcome(given, 0.8, 0.94), outcome(better, 0.81, 0.945)]
    assert chosen(found).candidate == given
    assert chosen([*found, outcome(none._replace(tps=9.0), 0.87, 0.87)]).candidate.tps == 9.0
    found[2] = outcome(better, 0.9, 0.99)
    assert chosen(found).candidate == better


def test_better_in_a_number_takes_more_than_luck() -> None:
    one = outcome(law("aimd"), *[0.5] * 8)
    often = tuple({"latency_p99": 0.05} for _ in range(8))
    once = ({"latency_p99": 0.01}, *({"latency_p99": 0.1 + 0.01 * i} for i in range(7)))
    assert better_in("latency_p99", True, one, one._replace(runs=often), 1)
    assert not better_in("latency_p99", True, one, one._replace(runs=once), 1)
    assert not better_in("latency_p99", False, one, one._replace(runs=often), 1)


def test_a_promise_is_between_values_of_the_runs_that_hold_the_next_one() -> None:
    """Of 40 runs the next one is below all with 1/41, and above all with 1/41: 95.1 % are between
    the least and the greatest, where between the least and the second greatest there are 92.7 %.
    """
    runs = tuple({"goodput": float(k), "regain_time": math.inf} for k in range(1, 41))
    one = Outcome(law("aimd"), runs, (1.0,) * 40)
    assert one.spread("goodput") == (20.0, 1.0, 40.0)
    assert one.spread("regain_time") == (math.inf,) * 3
    more = one._replace(runs=tuple({"goodput": float(k)} for k in range(1, 80)))
    assert more.spread("goodput") == (40.0, 2.0, 78.0)  # (80 - 2 * 2) / 80 = 95 %


def test_a_promise_is_widened_by_what_the_model_was_off_when_it_was_recorded() -> None:
    """p99: recorded 66 ms where runs of the model had 58 to 62, 60 in the mean: 10 % off, so 100 to
    120 ms become 100 to 132. A throughput among those of the model is not off.
    """
    rows = (
        Row("p99", "ms", 0.066, 0.06, 0.058, 0.062, 0.01),
        Row("throughput", "1/s", 97.0, 100.0, 96.0, 104.0, 3.0),
    )
    nothing = np.zeros(0)
    check = Check(rows, 20, 0.0, 1000, False, (nothing, nothing, nothing), ())
    assert widened("latency_p99", 0.1, 0.12, check, 50.0) == pytest.approx((0.1, 0.132))
    assert widened("regain_time", 0.0, math.inf, check, 50.0) == (0.0, math.inf)
    # A run of 50 s may end just before a call or just after it: 0.02 a second.
    assert widened("goodput", 90.0, 95.0, check, 50.0) == pytest.approx((89.98, 95.02))
    slower = check._replace(rows=(rows[1]._replace(recorded=95.0),))
    assert widened("goodput", 90.0, 95.0, slower, 50.0) == pytest.approx((85.48, 95.02))
    never = rows[0]._replace(simulated=math.nan, low=math.nan, high=math.nan)
    assert widened("latency_p99", 0.1, 0.12, check._replace(rows=(never,)), 50.0) == (0.1, 0.12)


def test_each_service_has_noise_of_its_own() -> None:
    """Ten equal services are ten runs that differ: under one noise all would be the same."""
    service = Scenario("one", Exponential(0.01), 50.0, 5.0, tpssim.Blocking())
    services = [service._replace(name=f"one {k}") for k in range(10)]

    def value(_: Scenario, noise: int, replication: int, measures: Mapping[str, float]) -> float:
        return noise + replication + 0.0 * measures["goodput"]

    none = Candidate("no controller", PLAIN, None, None)
    slower = none._replace(label="no controller, tps=20", tps=20.0)
    found = outcomes([none, slower, law("aimd")], services, value, 1, range(10))
    for each in found:
        assert each.values == tuple(float(k) for k in range(10))
        assert len({run["latency_p99"] for run in each.runs}) == 10
    assert [each.candidate for each in found] == [none, slower, law("aimd")]


def test_a_known_quota_needs_no_controller() -> None:
    found = tpssim.recommend(QUOTA, purpose="quota", controllers=["aimd", "headroom"], budget=16)
    assert (found.label, found.tps) == ("no controller, tps=8.13", 8.13)
    told = {each["name"]: each for each in found.expected()}
    assert told["wasted"]["high"] == 0.0
    assert told["goodput"]["median"] == pytest.approx(8.13, rel=0.01)
    assert "arun" in found.code
    assert "tps=8.13" in found.code


def test_one_call_at_a_time_needs_none() -> None:
    """What blocks holds itself back: whatever is wanted, a call waits for the one before."""
    found = tpssim.recommend("blocking-steady:duration=20", controllers=["aimd"], budget=16)
    assert found.winner.candidate.effort == PLAIN
    assert "no controller" in found.said()


def test_an_overload_that_overlaps_needs_something() -> None:
    found = tpssim.recommend(OVERLOAD, controllers=["netflix-vegas"], budget=16)
    by_label = {row["label"]: row for row in found.ranking()}
    # Without, what waits grows by 200 a second, and after 0.3 s nobody is in time.
    without = by_label["no controller"]["expected"]["goodput"]["median"]
    assert without is not None
    assert without < 0.1 * 400.0
    assert found.label != "no controller"
    told = {each["name"]: each for each in found.expected()}
    median = told["goodput"]["median"]
    assert median is not None
    assert 0.85 * 400.0 < median <= 1.02 * 400.0


def test_equal_arguments_give_equal_records_and_the_answer_is_judged_apart() -> None:
    once, again = (
        tpssim.recommend(QUOTA, controllers=["aimd"], budget=16, seed=seed) for seed in (3, 3)
    )
    assert once.record() == again.record()
    record = once.record()
    assert record.judged_on == 1
    assert record.replications == 40
    assert dataclasses.asdict(record)["purpose"] == "throughput"


def test_a_recording_is_fitted_and_who_judges_had_no_part_in_the_choice(tmp_path: Path) -> None:
    tpssim.simulate(OVERLOAD._replace(target=450.0, duration=5.0), "netflix-vegas").to_csv(
        tmp_path / "calls.csv"
    )
    found = services_of(tmp_path / "calls.csv", 500.0, draws=3, judges=4, seed=1)
    assert found.fitted is not None
    assert found.likeliest.duration > 4.9  # all of it, not the half that `fit` learns from
    assert (len(found.choosing), len(found.judging)) == (4, 4)  # the likeliest one is chosen on
    assert not set(found.choosing) & set(found.judging)
    assert {one.target for one in (*found.choosing, *found.judging)} == {500.0}
    path = tmp_path / "mine.toml"
    found.fitted.to_toml(path)
    filed = services_of(str(path), None, draws=6, judges=5, seed=1)
    assert filed.fitted is None
    assert len(filed.judging) == 5
    known = services_of(str(path), None, draws=0, judges=5, seed=1)
    assert known.choosing == known.judging == (known.likeliest,)


def test_a_recording_that_begins_in_a_slow_phase_has_the_deadline_of_the_quick_one(
    tmp_path: Path,
) -> None:
    """Calls of 20 ms, 100 ms for the first 10 of 30 s: 10 x 20 ms, and not 10 x 100 ms."""
    slow = Scenario(
        "slow first", Constant(0.02), 20.0, 30.0, Async(0.0, "completion"),
        (tpssim.Step(0.0, 10.0, 5.0),), backend=Backend(servers=2.0), poisson=1.0,
    )  # fmt: skip
    tpssim.simulate(slow, "fixed").to_csv(tmp_path / "calls.csv")
    found = services_of(tmp_path / "calls.csv", None, draws=2, judges=2, seed=0)
    assert found.likeliest.service.mean == pytest.approx(0.1, rel=0.05)
    for each in (found.likeliest, *found.choosing, *found.judging):
        assert each.deadline == pytest.approx(0.2, rel=0.1)
    path = tmp_path / "mine.toml"
    assert found.fitted is not None
    found.fitted.to_toml(path)
    assert services_of(path, None, 2, 2, 0).likeliest.deadline == found.likeliest.deadline
    assert services_of(path, None, 2, 2, 0, deadline=1.5).judging[0].deadline == 1.5


def test_a_model_that_is_wrong_is_not_asked_and_promises_nothing(tmp_path: Path) -> None:
    """Four servers of 10 ms, recorded at 300 a second: a model three times as slow does 133."""
    tpssim.simulate(OVERLOAD._replace(target=300.0), "fixed").to_csv(tmp_path / "calls.csv")
    right = tpssim.fit(tmp_path / "calls.csv", holdout=0.0)
    slow = right.scenario._replace(disturbances=(tpssim.Step(0.0, 5.0, 3.0),))
    wrong = dataclasses.replace(right, scenario=slow)
    for model, said in ((right, ""), (wrong, "The twin does not hold, on ")):
        model.to_toml(path := tmp_path / "mine.toml")
        fault = services_of(path, 600.0, draws=0, judges=1, seed=0).fault
        assert (fault[: len(said)], bool(fault)) == (said, bool(said))
    found = tpssim.recommend(wrong, tps=600.0, controllers=["aimd", "headroom"], budget=16)
    assert found.label == "headroom"
    record = found.record()
    for told_of_it in (record.expected, record.given_up, record.ranking):
        assert not told_of_it
    assert record.replications == 0
    assert record.check is not None
    assert "throughput" in record.check["misses"]
    assert from_dict(record.to_dict()) == record
    first = found.table().splitlines()
    assert first[1].startswith("The model that was fitted is wrong: ")
    told = re.search(r"throughput: (\d+) 1/s, recorded (\d+)", record.reasons[0])
    assert told is not None
    assert [float(told[1]), float(told[2])] == pytest.approx([400.0 / 3.0, 300.0], rel=0.05)
    assert "--stages 2m:4" in record.reasons[1]  # half as much again as the 300 that it did
    assert not any(line.startswith("expect") for line in first)
    others = tpssim.recommend(wrong, tps=600.0, controllers=["aimd"], budget=16)
    assert others.label == "aimd"  # no rate without a law, whatever the model says
    asked = tpssim.recommend(right, tps=300.0, controllers=["aimd"], draws=2, budget=16).record()
    assert asked.check is not None
    assert asked.check["holds"]
    assert asked.expected


@pytest.mark.parametrize(
    ("consumer", "head"),
    [
        (tpssim.Blocking(), "throttle"),
        (tpssim.Pool(2.0), "run"),
        (Async(feedback="completion"), "arun"),
        (Async(), "athrottle"),
    ],
)
def test_the_code_runs(consumer: tpssim.Blocking | tpssim.Pool | Async, head: str) -> None:
    scenario = OVERLOAD._replace(backend=Backend(), target=2000.0, consumer=consumer)
    text = code(law(law("headroom").law._replace(queue=2.35)), scenario)
    made: list[int] = []

    async def acall(item: int) -> None:
        made.append(item)

    call = acall if head == "arun" else made.append
    given = {"items": range(5), "call": call, "hand_over": made.append, "print": lambda _: None}
    exec(compile(text, "use.py", "exec"), given)
    assert f"import {head}\n" in text
    assert sorted(made) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("consumer", [tpssim.Blocking(), Async(feedback="completion")])
def test_the_code_leaves_out_what_has_waited_for_half_of_the_deadline(
    consumer: tpssim.Blocking | Async,
) -> None:
    came = with_arrivals(OVERLOAD._replace(backend=Backend(), consumer=consumer), (0.0, 0.1, 0.2))
    text = code(law("headroom"), came._replace(deadline=8.0))
    made: list[int] = []

    async def acall(item: int) -> None:
        made.append(item)

    async def later(pairs: list[tuple[float, int]]) -> AsyncIterator[tuple[float, int]]:
        for pair in pairs:
            yield pair

    now = time.monotonic()
    pairs = [(now - 4.5, 1), (now - 3.0, 2), (now, 3)]
    asynchronous = isinstance(consumer, Async)
    given = {"items": later(pairs) if asynchronous else pairs, "print": lambda _: None}
    exec(compile(text, "use.py", "exec"), {**given, "call": acall if asynchronous else made.append})
    assert made == [2, 3]
    # Where nothing is refused in the model, nothing is left out.
    assert "fresh" not in code(law("aimd"), came)
    assert "fresh" not in code(law("headroom"), OVERLOAD)


def test_how_many_arrivals_are_refused_is_said() -> None:
    times = tuple(k / 40 for k in range(400))
    scenario = with_arrivals(OVERLOAD._replace(service=Constant(0.2)), times)
    found = tpssim.recommend(scenario, controllers=["headroom"], draws=2, budget=16)
    assert any("are refused in the model" in reason for reason in found.reasons())


def test_purposes_weigh_parts_that_there_are() -> None:
    for weights in PURPOSES.values():
        assert weights.keys() <= PARTS.keys()
        assert weights["goodput"] > 0.0


def test_bad_input_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no purpose 'speed'; allowed: throughput"):
        tpssim.recommend(QUOTA, purpose="speed")
    with pytest.raises(InputError, match=r"there is no file \./calls.csv; allowed: a recording"):
        tpssim.recommend("./calls.csv")
    with pytest.raises(InputError, match="did you mean 'healthy'"):
        tpssim.recommend("helthy")
    for nobody in ("printed-aimd", "fixed", "oracle"):
        with pytest.raises(InputError, match=f"{nobody}; allowed: a law such as aimd"):
            tpssim.recommend(QUOTA, controllers=[nobody])
    with pytest.raises(InputError, match="vector-arc on blocking-steady: its limit cannot act"):
        tpssim.recommend("blocking-steady", controllers=["vector-arc"])
    with pytest.raises(InputError, match="draws=-1; allowed"):
        tpssim.recommend(QUOTA, draws=-1)
    with pytest.raises(InputError, match="deadline"):
        tpssim.recommend(QUOTA, deadline=-1.0)
    with pytest.raises(InputError, match="budget"):
        tpssim.recommend(QUOTA, budget=3)


def test_rounding_stays_in_the_range_of_a_parameter() -> None:
    """2,147,483,647 in three digits is 2.15e9, which is above what is allowed."""
    wide = law("servicetalk-gradient").law
    most = max(
        (field for field in wide._fields if getattr(wide, field) > 1e9), key=lambda f: f, default=""
    )
    assert most
    changed = wide._replace(**{most: getattr(wide, most) - 1.0})
    found = tuned(changed, wide)
    assert found is not None
    assert getattr(found.law, most) == getattr(wide, most) - 1.0


def test_what_never_happens_is_given_up_too() -> None:
    """The one recommended never regains, the other always does."""
    never = Outcome(law("aimd"), tuple({"regain_time": math.inf} for _ in range(8)), (1.0,) * 8)
    always = Outcome(law("headroom"), tuple({"regain_time": 2.0} for _ in range(8)), (0.9,) * 8)
    assert better_in("regain_time", True, never, always, 1)
    assert not better_in("regain_time", True, always, never, 1)
