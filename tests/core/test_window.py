"""Windows over completions by hand, as pure functions and in the model."""

from __future__ import annotations

import math
from array import array

import pytest
from helpers.laws import Actuators, SetOnce, observations_of, run

from tpssim.core.types import Observation
from tpssim.core.window import CAPACITY, Sensor, collected, opened, summed_up, window_end
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


def completion(
    latency: float, errors: float = 0.0, drops: float = 0.0, **more: float
) -> Observation:
    return Observation(0.0, 10.0, latency, 0.25, 1.0, errors, drops=drops)._replace(**more)


def test_a_window_sums_up_mean_errors_drops_and_extremes() -> None:
    memory = array("d", [0.0]) * CAPACITY
    window = opened(5.0)
    for obs in (
        completion(1.0, in_flight=3.0, peak=4.0),
        completion(
            9.0, errors=1.0, in_flight=2.0, peak=7.0
        ),  # a plain failure: its latency says nothing
        completion(3.0, errors=1.0, drops=1.0),
        completion(2.0),
    ):
        window = collected(window, obs, memory)
    mean = summed_up(Sensor(), window, memory, 6.0, 10.0, 0.125)
    assert mean == Observation(6.0, 10.0, 2.0, 0.25, 4.0, 2.0, 3.0, 1.0, 0.0, 7.0, 0.125)
    # Nearest rank of (1, 2, 3): ceil(0.5 * 3) = the second, ceil(0.9 * 3) = the third.
    assert summed_up(Sensor(quantile=0.5), window, memory, 6.0, 10.0, 0.5).latency == 2.0
    assert summed_up(Sensor(quantile=0.9), window, memory, 6.0, 10.0, 0.5).latency == 3.0


def test_a_window_of_failures_alone_has_no_latency() -> None:
    memory = array("d", [0.0]) * CAPACITY
    window = collected(opened(0.0), completion(1.0, errors=1.0), memory)
    assert math.isnan(summed_up(Sensor(), window, memory, 1.0, 10.0, 0.5).latency)


def test_a_window_lasts_some_round_trips_within_bounds() -> None:
    sensor = Sensor(period=1.0, longest=4.0, rtts=2.0)
    memory = array("d", [0.0]) * CAPACITY
    assert window_end(sensor, opened(10.0)) == 11.0
    for latency, end in ((3.0, 14.0), (1.0, 12.0), (0.25, 11.0)):
        assert window_end(sensor, collected(opened(10.0), completion(latency), memory)) == end


def test_more_completions_than_are_kept_still_count() -> None:
    memory = array("d", [0.0]) * CAPACITY
    window = opened(0.0)
    for _ in range(CAPACITY + 10):
        window = collected(window, completion(1.0), memory)
    assert summed_up(Sensor(quantile=0.9), window, memory, 1.0, 10.0, 0.5).count == CAPACITY + 10


SCENARIO = Scenario("s", Constant(0.0625), 8.0, 2.0, Async(0.0, "completion"))


def test_windows_by_time_end_on_time() -> None:
    # Completions at 1/16 + k / 8: four in each half second.
    seen = observations_of(SCENARIO, SetOnce(), Sensor(period=0.5))
    assert [obs.now for obs in seen] == [0.5, 1.0, 1.5]
    assert [obs.count for obs in seen] == [4.0] * 3
    assert [obs.latency for obs in seen] == [0.0625] * 3


def test_windows_by_count_end_with_a_completion() -> None:
    seen = observations_of(SCENARIO, SetOnce(), Sensor(least=5.0))
    assert [obs.now for obs in seen] == [4 / 8 + 1 / 16, 9 / 8 + 1 / 16, 14 / 8 + 1 / 16]
    assert [obs.count for obs in seen] == [5.0] * 3


@pytest.mark.parametrize(("discard", "ends"), [(1.0, []), (0.0, [9 / 16, 19 / 16, 29 / 16])])
def test_a_window_with_too_few_is_thrown_away_or_goes_on(discard: float, ends: list[float]) -> None:
    # Four completions in half a second, five wanted.
    seen = observations_of(SCENARIO, SetOnce(), Sensor(period=0.5, least=5.0, discard=discard))
    assert [obs.now for obs in seen] == ends


def test_a_window_counts_errors_and_drops_and_the_most_in_flight() -> None:
    scenario = SCENARIO._replace(
        service=Constant(0.25),
        backend=Backend(servers=1.0, places=0.0),
        consumer=Async(0.0, "completion"),
    )
    # 0 ok, 1/8 rejected (an error after 1/4), 2/8 ok, ...: completions at 1/4, 3/8, 1/2, 5/8, ...
    seen = observations_of(scenario, SetOnce(), Sensor(period=1.0))
    assert seen[0].now == 1.0
    # A completion at the very end of a window comes first, so it belongs to it.
    assert (seen[0].count, seen[0].errors, seen[0].drops) == (7.0, 3.0, 3.0)
    assert seen[0].peak == 2.0


def test_a_law_without_a_window_hears_of_every_completion() -> None:
    assert [obs.count for obs in observations_of(SCENARIO)] == [1.0] * 16


def test_a_law_gets_its_memory_and_keeps_it() -> None:
    class Ring(tuple):  # type: ignore[type-arg]
        """Puts each observation's number in its memory, and sets the rate to the sum of what it
        finds.
        """

        def init(self, target: float) -> Actuators:
            return Actuators(8.0, math.inf, 0.0)

        def memory(self) -> int:
            return 3

        def update(self, state: Actuators, obs: Observation, memory: array[float]) -> Actuators:
            assert len(memory) == 3
            memory[0] += 1.0
            return Actuators(8.0, 100.0 + memory[0], 0.0)

    trace = run(SCENARIO, Ring())
    assert trace.limit.tolist() == [math.inf] + [100.0 + k for k in range(1, 16)]


def test_a_window_on_a_grid_ends_where_its_end_is_rounded_to() -> None:
    # A window of 0.1003 s on a grid of 1 ms: without the same rounding it would look for ever.
    seen = observations_of(SCENARIO._replace(grid=1e-3), SetOnce(), Sensor(period=0.1253))
    assert [obs.now for obs in seen][:3] == pytest.approx([0.125, 0.25, 0.376], abs=2e-3)
