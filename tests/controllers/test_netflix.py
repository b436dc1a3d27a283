"""Netflix's concurrency limits: vectors of the originals, traces recorded from the original
classes.
"""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import done, fed, memory_of

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers._netflix_window import Sample, through_window, window_memory
from tpssim.controllers.netflix_aimd import NetflixAimd
from tpssim.controllers.netflix_gradient import NetflixGradient
from tpssim.controllers.netflix_gradient2 import NetflixGradient2
from tpssim.controllers.netflix_vegas import NetflixVegas
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked

LAWS = [NetflixAimd, NetflixVegas, NetflixGradient, NetflixGradient2]
GOLDEN = {
    "AIMDLimit(timeout=35ms)": NetflixAimd(timeout=0.035),
    "VegasLimit(probeMultiplier=1e6)": NetflixVegas(probe_multiplier=1e6),
    "Gradient2Limit(default)": NetflixGradient2(),
    "WindowedLimit(500ms..1s,10)->AIMDLimit()": NetflixAimd(window=0.5),
}


@pytest.mark.parametrize("shared_golden", ["netflix.jsonl"], indirect=True)
@pytest.mark.parametrize("name", GOLDEN)
def test_traces_of_the_original_classes_to_the_bit(name: str, shared_golden: Path) -> None:
    traces = {
        t["name"]: t
        for t in map(json.loads, shared_golden.read_text(encoding="utf-8").splitlines())
    }
    law: Any = GOLDEN[name]
    trace = traces[name]
    state, memory = law.init(100.0), memory_of(law)
    assert state.limit == trace["initial"]
    for k, (rtt_us, in_flight, dropped, limit, estimate) in enumerate(trace["steps"]):
        latency = rtt_us / 1e6
        obs = done(k * 0.1 + latency, latency, float(in_flight), bool(dropped))
        state = law.update(state, obs, *memory)
        assert state.limit == limit, f"step {k}"
        if estimate is not None and hasattr(state, "estimate"):
            assert state.estimate == estimate, f"step {k}"


def limits(law: Any, *history: Observation) -> list[float]:
    return [state.limit for state in fed(law, history)][1:]


def test_aimd() -> None:
    assert NetflixAimd(initial=10.0).init(1.0).limit == 10.0
    assert limits(NetflixAimd(), done(0.0, 0.001, 10.0)) == [21.0]
    assert limits(NetflixAimd(initial=30.0), done(0.0, 0.001, 10.0, dropped=True)) == [27.0]
    full = NetflixAimd(initial=21.0, min_limit=0.0, max_limit=21.0)
    # 20 in flight, doubled, is not 21: no growth
    assert limits(full, done(0.0, 0.001, 10.0)) == [21.0]
    assert limits(full, done(0.0, 0.001, 11.0)) == [21.0]  # bounded
    assert limits(NetflixAimd(), done(0.0, 0.001, 9.0)) == [20.0]  # app-limited
    # Over the timeout, by a nanosecond; at it, no.
    late = NetflixAimd(initial=30.0, timeout=0.01)
    assert limits(late, done(0.0, 0.010000001, 15.0), done(0.0, 0.01, 15.0)) == [27.0, 28.0]


@pytest.mark.parametrize(
    ("second", "in_flight", "limit"), [(0.010, 11.0, 16.0), (0.050, 11.0, 9.0), (0.014, 11.0, 10.0)]
)
def test_vegas(second: float, in_flight: float, limit: float) -> None:
    # Queues of ceil(10 x (1 - 10/10)) = 0, ceil(10 x 0.8) = 8, ceil(10 x 2/7) = 3 against alpha 3,
    # beta 6.
    law = NetflixVegas(initial=10.0, max_limit=20.0)
    assert limits(law, done(0.0, 0.01, 10.0), done(0.1, second, in_flight)) == [10.0, limit]


def test_vegas_at_ten_thousand() -> None:
    law = NetflixVegas(initial=10000.0, max_limit=20000.0)
    assert limits(law, done(0.0, 10.0, 5000.0), done(0.1, 10.0, 6000.0)) == [10000.0, 10024.0]


@pytest.mark.parametrize(
    ("smoothing", "found"), [(0.5, [100.0, 75.0, 56.0]), (1.0, [100.0, 50.0, 25.0])]
)
def test_vegas_with_another_decrease_and_smoothing(smoothing: float, found: list[float]) -> None:
    law = NetflixVegas(initial=100.0, max_limit=200.0, dec_rate=0.5, smoothing=smoothing)
    history = [done(0.1 * k, latency, 100.0) for k, latency in enumerate((0.01, 0.02, 0.02))]
    assert limits(law, *history) == found


def test_vegas_probes_after_half_to_all_of_multiplier_times_limit_samples() -> None:
    # jitter 0.5 + 0.5 x 0.5 = 0.75; 0.75 x 2 x 4 = 6 samples; few in flight, so nothing else
    # happens.
    law = NetflixVegas(initial=4.0, probe_multiplier=2.0)
    states = fed(law, [done(k * 0.1, 0.01 if k == 0 else 0.03, 1.0) for k in range(7)])[1:]
    assert [state.noload for state in states] == [1e7] * 5 + [3e7] * 2
    assert [state.probe_count for state in states] == [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0]


def test_vegas_a_new_least_changes_no_limit_even_if_it_was_dropped() -> None:
    law = NetflixVegas()
    history = [
        done(0.0, 0.02, 20.0),
        done(0.1, 0.01, 20.0, dropped=True),
        done(0.2, 0.01, 20.0, dropped=True),
    ]
    assert limits(law, *history) == [20.0, 20.0, 19.0]


def test_gradient() -> None:
    # q = trunc(sqrt 50) = 7. 50 x 1 + 7; g = 2 x 10 / 40 = 0.5: N = 28.5 + 7, 0.8 x 57 + 0.2 x
    # 35.5.
    law = NetflixGradient()
    states = fed(law, [done(0.0, 0.01, 50.0), done(0.1, 0.04, 50.0)])
    assert [state.limit for state in states] == [50.0, 57.0, 52.0]
    assert states[-1].estimate == pytest.approx(52.7, rel=1e-14)
    # A drop: 50 x 0.9 = 45, smoothed downwards: 0.8 x 50 + 0.2 x 45 = 49. Few in flight: nothing.
    assert limits(law, done(0.0, 0.01, 1.0, dropped=True)) == [49.0]
    assert limits(law, done(0.0, 0.01, 24.0)) == [50.0]
    # Never below q: limit 2 has q = 4.
    assert limits(NetflixGradient(initial=2.0), done(0.0, 0.01, 2.0, dropped=True)) == [4.0]


def test_gradient_probes() -> None:
    # Interval 2 + floor(0.5 x 2) = 3: three samples, the fourth is the probe; q = 4 below 25.
    law = NetflixGradient(initial=16.0, probe_interval=2.0)
    states = fed(law, [done(0.1 * k, 0.01, 1.0) for k in range(5)])[1:]
    assert [state.limit for state in states] == [16.0, 16.0, 16.0, 4.0, 4.0]
    assert [state.noload for state in states] == [1e7, 1e7, 1e7, 0.0, 1e7]
    never = NetflixGradient(initial=16.0, probe_interval=0.0)
    assert limits(never, *(done(0.1 * k, 0.01, 1.0) for k in range(50))) == [16.0] * 50


def test_the_long_term_round_trip_warms_up() -> None:
    # Window 100: the means of the first of 10..19 are 10, 10.5, ..., 14.5; then 14.5 x 99/101 +
    # 200/101.
    law = NetflixGradient2(long_window=100.0)
    rtts = [float(k) for k in range(10, 20)] + [100.0]
    states = fed(law, [done(float(k), rtt / 1e9, 1.0) for k, rtt in enumerate(rtts)])[1:]
    assert [state.long for state in states[:10]] == [10.0 + 0.5 * k for k in range(10)]
    assert states[-1].long == pytest.approx(16.2, abs=0.1)


def test_gradient2_shrinks_a_long_term_round_trip_that_is_far_too_long() -> None:
    # Mean of 10 x 50 ms is 50; then 10 ms: 50 x 599/601 + 10 x 2/601 = 49.867, more than twice 10:
    # x 0.95.
    states = fed(
        NetflixGradient2(), [done(0.1 * k, 0.05 if k < 10 else 0.01, 20.0) for k in range(11)]
    )
    assert states[-1].long == pytest.approx(49.866888519134776e6 * 0.95, rel=1e-12)
    # Its gradient used the value before: 1.5 x 49.87 / 10 is bounded to 1: + 0.2 x 4 as before.
    assert states[-1].estimate == pytest.approx(20.0 + 11 * 0.8, rel=1e-14)


def test_gradient2_ignores_drops() -> None:
    assert limits(NetflixGradient2(), done(0.0, 0.01, 20.0, dropped=True)) == [20.0]
    assert fed(NetflixGradient2(), [done(0.0, 0.01, 20.0, dropped=True)])[-1].estimate == 20.8


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_failure_that_is_no_drop_is_no_sample(law: Any) -> None:
    failed = Observation(1.0, 100.0, 0.01, 0.0, 1.0, 1.0, 60.0, 0.0)
    assert fed(law(), [failed]) == [law().init(100.0)] * 2


@pytest.mark.parametrize(
    ("times", "percentile", "rtt", "dropped"),
    [
        ([(5000, False), (500, False), (10, False)], 0.0, 1836.0, 0.0),
        ([(5000, False), (500, False), (10, False), (5000, True)], 0.0, 2627.0, 1.0),
        ([(5000, False), (500, False), (10, False)], 0.5, 500.0, 0.0),
        ([(10, False), (5000, True), (5000, True)], 0.5, 5000.0, 1.0),
        ([(10, False), (5000, True), (5000, True)], 0.999, 5000.0, 1.0),
    ],
)
def test_windows(
    times: list[tuple[float, bool]], percentile: float, rtt: float, dropped: float
) -> None:
    memory = array("d", [0.0]) * window_memory(1.0, 100.0)
    memory[0], memory[1] = 1.0, 1e9
    for k, (ms, drop) in enumerate(times):
        now = 2.0 if k == len(times) - 1 else 0.5
        sample = Sample(1.0, ms * 1e6, 1.0, float(drop))
        size, kept = (1.0, 100.0) if percentile else (1.0, 0.0)
        closed = through_window(memory, now, sample, 1.0, 1.0, size, percentile, 1e-4, kept)
    assert math.floor(closed.rtt / 1e6) == rtt
    assert closed.dropped == dropped


def test_a_window_lasts_twice_its_predecessors_least_round_trip_within_bounds() -> None:
    """[0.5, 2] s, two samples: the first is a window of its own and lost, as in the original."""
    law = NetflixAimd(window=0.5, longest=2.0, window_size=2.0)
    # Window 1 ends at 0.1 with one sample: lost. Next until 0.1 + clamp(2 x 0.1) = 0.6. 0.3, 0.6
    # are in it; 0.7 ends it (three): 21. Until 0.7 + 2 x 0.4 = 1.5: 1.4; 1.6 ends it (two): 22.
    ends = [0.1, 0.3, 0.6, 0.7, 1.4, 1.6]
    history = [done(end, 0.1 if k == 0 else 0.4, 20.0) for k, end in enumerate(ends)]
    assert limits(law, *history) == [20.0, 20.0, 20.0, 21.0, 21.0, 22.0]


def test_a_window_with_too_few_samples_is_lost_and_a_short_round_trip_is_none() -> None:
    slow = NetflixAimd(window=0.5)  # 60 samples at 10 a second: never ten in a window
    assert limits(slow, *(done(0.1 * k, 0.01, 20.0) for k in range(60))) == [20.0] * 60
    quick = NetflixAimd(window=0.5, window_size=1.0)
    assert limits(quick, done(0.0, 99e-6, 20.0), done(0.1, 100e-6, 20.0)) == [20.0, 21.0]


def test_a_window_tells_of_its_largest_crowd_and_of_any_drop() -> None:
    law = NetflixAimd(initial=30.0, window=0.5, window_size=3.0)
    first = done(0.0, 0.01, 1.0)  # a window of its own, lost; the next ends after 0.5
    crowd = [done(0.1, 0.01, 1.0), done(0.2, 0.01, 15.0), done(0.6, 0.01, 1.0)]
    assert limits(law, first, *crowd)[-1] == 31.0
    drop = [done(0.1, 0.01, 1.0, dropped=True), done(0.2, 0.01, 15.0), done(0.6, 0.01, 1.0)]
    assert limits(law, first, *drop)[-1] == 27.0


@pytest.mark.parametrize(("kept", "limit"), [(0.0, 31.0), (10.0, 31.0), (20.0, 27.0), (9.0, 30.0)])
def test_a_percentile_sees_the_first_samples_of_its_window_alone(kept: float, limit: float) -> None:
    """Run with Netflix/concurrency-limits 78a74b9, `ImmutablePercentileSampleWindow`: 500 ms, ten
    samples.

    The eleventh is a drop: out of ten it is not seen, and nine are never enough."""
    law = NetflixAimd(initial=30.0, window=0.5, percentile=0.5, kept=kept)
    ends = [1.01] + [1.01 + 0.04 * k for k in range(1, 11)]
    history = [done(end, 0.01, 20.0) for end in ends] + [done(1.46, 0.01, 20.0, dropped=True)]
    assert limits(law, *history, done(1.61, 0.01, 20.0)) == [30.0] * 12 + [limit]


def test_a_window_is_no_longer_than_the_longest() -> None:
    """Run with Netflix/concurrency-limits 78a74b9: `WindowedLimit` of at least 2 s, at most 1 s."""
    law = NetflixAimd(initial=30.0, window=2.0)
    ends = [1.01 + 0.04 * k for k in range(10)] + [2.01, 2.010000001]
    assert limits(law, *(done(end, 0.01, 20.0) for end in ends)) == [30.0] * 11 + [31.0]


def test_the_shortest_round_trip_is_a_parameter() -> None:
    law = NetflixAimd(window=0.5, window_size=1.0, shortest=0.015)
    assert limits(law, done(0.0, 0.0149, 20.0), done(0.1, 0.015, 20.0)) == [20.0, 21.0]


def test_fixed_thresholds_and_a_fixed_queue() -> None:
    """Run with Netflix/concurrency-limits 78a74b9: `alpha(10).beta(40)`; `queueSize(4)`, no
    probes.
    """
    law = NetflixVegas(initial=250.0, alpha=10.0, beta=40.0, fixed=1.0, probe_multiplier=1e6)
    calls = [
        (10.0, 250.0),
        (10.0, 250.0),
        (10.1, 250.0),
        (10.25, 300.0),
        (11.0, 300.0),
        (12.0, 300.0),
    ]
    history = [done(0.1 * k, ms / 1e3, in_flight) for k, (ms, in_flight) in enumerate(calls)]
    drop = done(1.0, 0.012, 300.0, dropped=True)
    assert limits(law, *history, drop) == [250.0, 290.0, 292.0, 294.0, 294.0, 292.0, 290.0]
    gradient = NetflixGradient(initial=100.0, queue=4.0, fixed=1.0, probe_interval=0.0)
    history = [done(0.1 * k, 0.01 if k < 2 else 0.04, 100.0) for k in range(3)]
    states = fed(gradient, [*history, done(1.0, 0.04, 40.0, dropped=True), done(1.1, 0.04, 40.0)])
    assert [state.limit for state in states] == [100.0, 104.0, 108.0, 98.0, 96.0, 96.0]
    assert states[-1].estimate == float.fromhex("0x1.8028f5c28f5c3p6")


def test_a_ratio_of_one_is_no_cut() -> None:
    assert checked(NetflixGradient(ratio=1.0), "law").ratio == 1.0


def test_whole_nanoseconds() -> None:
    assert nanoseconds(0.1 + 0.2) == 300_000_000.0
    assert nanoseconds(4e-10) == 0.0
    assert nanoseconds(5e-10) == 1.0
    assert nanoseconds(1e300) == 9e18


@pytest.mark.parametrize(
    "law", [NetflixAimd, NetflixGradient, NetflixGradient2], ids=lambda law: law.__name__
)
def test_bounds_in_the_wrong_order(law: Any) -> None:
    with pytest.raises(
        InputError, match="min_limit=30 lies above max_limit=25; allowed: min <= max"
    ):
        checked(law(min_limit=30.0, max_limit=25.0), "law")


def test_vegas_thresholds_in_the_wrong_order() -> None:
    with pytest.raises(InputError, match="alpha=7 lies above beta=6"):
        checked(NetflixVegas(alpha=7.0), "law")
