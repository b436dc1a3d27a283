"""Late policies after a stall, by hand: what is caught up, re-anchored, skipped."""

from __future__ import annotations

import pytest
from helpers.laws import SetOnce, run

from tpssim.core.errors import InputError
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, Late, anchor, capped, late_policy
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.trace import Trace


def stalled(late: Late) -> Trace:
    """A call every 1/8 s, 1/64 s each; the service stands still from 0.5 to 1.125 s (five
    slots).
    """
    scenario = Scenario("s", Constant(0.015625), 8.0, 2.0, disturbances=(Stall(0.5, 1.125),))
    return run(scenario._replace(late=late))


W = 0.015625  # a call's time: calls that catch up follow one another at this distance
BACK = 1.125 + W  # when the call of 0.5 s comes back


@pytest.mark.parametrize(
    ("late", "releases", "counters"),
    [
        # All five missed slots at once, and on with the old schedule (the next is due at 1.25).
        (BURST, [BACK, BACK + W, BACK + 2 * W, BACK + 3 * W, BACK + 4 * W, 1.25], (4.0, 0.0, 0.0)),
        # One slot late: released at once, and the schedule begins again from there.
        (DELAY, [BACK, BACK + 0.125, BACK + 0.25], (1.0, 1.0, (BACK - 0.625) / 0.125)),
        # The due slot (0.625) goes out late, the other missed ones are skipped: on at 1.25.
        (SKIP, [BACK, 1.25, 1.375], (1.0, 0.0, 4.0)),
        # At most two intervals behind: the late one, then two more to catch up, then the new
        # schedule.
        (capped(2), [BACK, BACK + W, BACK + 2 * W, BACK + 0.125], (2.0, 1.0, 2.125)),
        # Slots are more than 0.1 s apart, so one interval behind: the late one, the one due then,
        # and on.
        (AUTO, [BACK, BACK + W, BACK + 0.125, BACK + 0.25], (1.0, 1.0, 3.125)),
    ],
    ids=str,
)
def test_what_becomes_of_missed_slots(
    late: Late, releases: list[float], counters: tuple[float, float, float]
) -> None:
    trace = stalled(late)
    assert trace.released[:5].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert trace.released[5 : 5 + len(releases)].tolist() == releases
    assert tuple(trace.meta[name] for name in ("caught_up", "re_anchored", "skipped")) == counters


def test_without_a_stall_no_policy_does_anything() -> None:
    for late in (AUTO, BURST, DELAY, SKIP, capped(1)):
        trace = run(Scenario("s", Constant(0.015625), 8.0, 2.0)._replace(late=late))
        assert trace.released.tolist() == [k / 8.0 for k in range(16)]
        assert [trace.meta[name] for name in ("caught_up", "re_anchored", "skipped")] == [0.0] * 3


def test_skipped_slots_use_up_their_noise() -> None:
    from tpssim.scenarios.service_times import Lognormal, draws

    service = Lognormal(W, 0.5)
    scenario = Scenario("s", service, 8.0, 4.0, disturbances=(Stall(0.5, 1.125),), late=SKIP)
    trace = run(scenario)
    times = service.times(draws("normal", 32, 0, 0))
    slot = (trace.scheduled * 8.0).astype(int)
    done = slot != 4  # the one that stood still
    assert (trace.completed - trace.released)[done].tolist() == pytest.approx(
        times[slot[done]].tolist()
    )


def test_a_rate_actuator_counts_in_its_own_intervals() -> None:
    # At 4/s three slots are missed; capped(1) keeps one of them.
    scenario = Scenario(
        "s", Constant(W), 8.0, 2.0, disturbances=(Stall(0.5, 1.125),), late=capped(1)
    )
    trace = run(scenario, SetOnce(rate=4.0))
    assert trace.released.tolist() == [
        0.0,
        0.25,
        0.5,
        BACK,
        BACK + W,
        BACK + 0.25,
        BACK + 0.5,
        BACK + 0.75,
    ]


@pytest.mark.parametrize(
    ("late", "due", "now", "then"),
    [
        (BURST, 1.0, 1.7, (1.0, 0.0)),
        (DELAY, 1.0, 1.75, (1.75, 3.0)),
        (DELAY, 1.0, 1.0, (1.0, 0.0)),
        (SKIP, 1.0, 1.75, (1.75, 3.0)),
        (SKIP, 1.0, 1.1, (1.0, 0.0)),
        (capped(2), 1.0, 1.4, (1.0, 0.0)),
        (capped(2), 1.0, 2.0, (1.5, 2.0)),
        (AUTO, 1.0, 1.25, (1.0, 0.0)),
        (AUTO, 1.0, 2.0, (1.75, 3.0)),
        (Late(seconds=0.5), 1.0, 2.0, (1.5, 2.0)),
    ],
    ids=str,
)
def test_where_the_schedule_continues(
    late: Late, due: float, now: float, then: tuple[float, float]
) -> None:
    assert anchor(late, due, now, 0.25, 4.0) == then


@pytest.mark.parametrize("text", ["auto", "auto(0.25)", "burst", "delay", "skip", "capped(3)"])
def test_a_policy_is_read_as_it_is_written(text: str) -> None:
    assert str(late_policy(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Burst",
        "capped",
        "capped()",
        "capped(-1)",
        "capped(1.5)",
        "auto0.1",
        "auto()",
        "auto(-1)",
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"allowed: auto"):
        late_policy(text)
