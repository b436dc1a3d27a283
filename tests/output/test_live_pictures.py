"""The pictures of a live run and of a comparison: what acted is drawn, nothing is empty, equal is
one.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tpssim import Stages, compare, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.experiments.live_pictures import live_run
from tpssim.live.playback import play, read_journal
from tpssim.output import plots
from tpssim.output.plots import LiveRun, live_figure

N = 1000


def run_of(**columns: Any) -> LiveRun:
    """100 calls a second for 10 s; 20 ms each, every tenth 200 ms."""
    released: Any = (np.arange(N) + 0.5) / 100.0  # none at an edge of a bin
    latency = np.where(np.arange(N) % 10 == 9, 0.2, 0.02)
    unused = np.full(N, math.inf)
    well: Any = np.full(N, OK, dtype=np.int8)
    run = LiveRun(released, well, latency, unused, unused, np.full(N, 4.0), [(0.0, 100.0)], 10.0)
    return run._replace(**columns)


def lines(ax: Any) -> dict[str, Any]:
    return dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))


def test_a_run_of_a_rate_law_shows_releases_against_the_ceiling_and_percentiles() -> None:
    figure: Any = live_figure("t", run_of(rate=np.full(N, 90.0)))
    rates, latency = figure.axes
    assert list(lines(rates)) == ["releases a second", "ceiling (wanted)", "commanded rate"]
    assert lines(rates)["releases a second"].get_data().values == pytest.approx(100.0)
    assert set(lines(latency)["p50 of calls that went well"].get_ydata()) == {20.0}  # ms
    # Of ten calls one takes 200 ms: 0.91 of the way from rank 9 to rank 10.
    p99 = lines(latency)["p99 of calls that went well"].get_ydata()
    assert p99 == pytest.approx(20.0 + 0.91 * 180.0)
    assert latency.get_ylabel() == "latency (ms)"


def test_the_latency_is_that_of_calls_that_went_well_and_the_others_are_shown() -> None:
    """From 5 s on half of 100 a second are refused in 0.1 ms; one fails and one times out before.
    Of slots that were due 30 a second are refused here in the first 2 s.
    """
    outcome = np.where((np.arange(N) >= 500) & (np.arange(N) % 2 == 1), REJECTED, OK)
    outcome[[100, 101, 102]] = FAILED, TIMED_OUT, UNFINISHED
    latency = np.where(outcome == OK, 0.02, 1e-4)
    latency[101], latency[102] = 30.0, math.nan
    here = (np.arange(60) + 0.5) / 30.0
    figure: Any = live_figure("t", run_of(outcome=outcome, latency=latency, refused_here=here))
    rates, took = figure.axes
    for q in ("p50", "p99"):
        assert set(lines(took)[f"{q} of calls that went well"].get_ydata()) == {20.0}
    areas = {
        name: lines(rates)[name].get_data()
        for name in ("not served: refused, failed, timed out", "refused here")
    }
    lost = areas["not served: refused, failed, timed out"]
    assert lost.values[lost.edges[:-1] >= 5.0] == pytest.approx(50.0)
    assert (lost.values * np.diff(lost.edges)).sum() == pytest.approx(252.0)
    here_shown = areas["refused here"]
    assert (here_shown.values * np.diff(here_shown.edges)).sum() == pytest.approx(60.0)
    assert here_shown.values[here_shown.edges[:-1] >= 2.0] == pytest.approx(0.0)
    assert not {*areas} & {*lines(live_figure("t", run_of()).axes[0])}


def test_slots_that_a_law_refused_are_in_the_picture_of_its_recording(tmp_path: Path) -> None:
    """Every call fails, so the breaker refuses slots: what is not released was refused here."""
    path, clock = tmp_path / "run.ndjson", VirtualClock()
    live = throttle(range(10), 50.0, controller="sre-throttling", clock=clock, record=path)
    for _ in live:
        live.see(SimpleNamespace(status_code=429, headers={}))
    calls = play(recording := read_journal(path)).calls
    run = live_run(recording, calls)
    assert run.refused_here is not None
    assert 0 < len(run.refused_here) == len(calls) - len(run.released)
    assert set(run.outcome.tolist()) == {REJECTED}


@pytest.mark.parametrize(
    ("tps", "calls", "most"), [(0.5, 4, 4 / 6), (0.5, 40, 5 / 8), (3.0, 100, 10 / 3)]
)
def test_a_release_is_not_drawn_as_many_a_second(tps: float, calls: int, most: float) -> None:
    """On schedule from 0 s: a bin holds four slots or more, and the last one a release more than
    fits.
    """
    at = np.arange(calls) / tps
    unused, ones = np.full(calls, math.inf), np.ones(calls)
    well: Any = np.full(calls, OK, dtype=np.int8)
    run = LiveRun(at, well, ones, unused, unused, ones, [(0.0, tps)], float(at[-1]))
    figure: Any = live_figure("t", run)
    drawn = lines(figure.axes[0])["releases a second"].get_data()
    assert drawn.edges[-1] == at[-1]  # the last call is in it
    assert max(drawn.values) == pytest.approx(most)


def test_a_run_of_a_limit_law_shows_the_limit_and_the_calls_in_flight_and_no_empty_panel() -> None:
    figure: Any = live_figure("t", run_of(limit=np.full(N, 8.0)))
    rates, flight, _ = figure.axes
    assert "commanded rate" not in lines(rates)
    assert list(lines(flight)) == ["most calls in flight", "limit"]
    assert lines(flight)["most calls in flight"].get_data().values == pytest.approx(4.0)
    assert all(ax.lines or ax.patches for ax in figure.axes)
    far: Any = live_figure("t", run_of(limit=np.full(N, 10_000.0)))
    # a limit that nothing comes near does not press the calls flat
    assert far.axes[1].get_ylim()[1] < 10.0
    assert "(it is 10,000 or more, above the picture)" in lines(far.axes[1])


def test_the_ceiling_follows_a_changed_target_and_is_not_drawn_without_one() -> None:
    figure: Any = live_figure("t", run_of(ceiling=[(0.0, 50.0), (4.0, 200.0)]))
    ceiling = lines(figure.axes[0])["ceiling (wanted)"].get_data()
    assert (list(ceiling.values), list(ceiling.edges)) == ([50.0, 200.0], [0.0, 4.0, 10.0])
    free: Any = live_figure("t", run_of(ceiling=[(0.0, math.inf)]))
    assert list(lines(free.axes[0])) == ["releases a second"]


def test_a_run_without_an_answer_is_drawn_too(tmp_path: Path) -> None:
    figure: Any = live_figure("t", run_of(latency=np.full(N, math.nan)))
    plots.save(figure, tmp_path / "rate.png", "")
    assert (tmp_path / "rate.png").stat().st_size > 1000


def test_a_recording_comes_to_such_a_run(tmp_path: Path) -> None:
    path, clock = tmp_path / "run.ndjson", VirtualClock()
    live = throttle(range(20), 10.0, clock=clock, record=path)
    for k in live:
        clock.set(clock.time() + 0.01)
        if k == 9:
            live.tps = 20.0
    recording = read_journal(path)
    run = live_run(recording, play(recording).calls)
    assert len(run.released) == 20
    assert run.latency == pytest.approx(0.01)
    assert [level for _, level in run.ceiling] == [10.0, 20.0]
    assert run.ceiling[1][0] == pytest.approx(0.91, abs=0.011)


def test_no_more_than_is_wanted_is_shown_as_commanded(tmp_path: Path) -> None:
    """From 0 to 20 a second in 4 s, by a law that begins with the 20: the slots are where 2.5 t^2
    is whole, and 5 t is wanted there."""
    path, clock = tmp_path / "run.ndjson", VirtualClock()
    handle = throttle(range(100), Stages("4s:20"), controller="aimd", clock=clock, record=path)
    for _ in handle:
        clock.set(clock.time() + 0.001)
    recording = read_journal(path)
    calls = play(recording).calls
    assert calls[0].rate == 20.0
    run = live_run(recording, calls)
    slots = np.sqrt(np.arange(len(run.rate)) / 2.5)
    assert run.released == pytest.approx(slots, abs=0.02)
    assert (run.rate <= 5.0 * run.released + 1e-9).all()
    assert run.rate[0] == pytest.approx(0.0, abs=0.02)
    assert run.rate[-1] == pytest.approx(5.0 * slots[-1], rel=0.1)  # the law holds little back


def test_throttles_whose_runs_are_equal_share_a_panel_that_says_so() -> None:
    found = compare("blocking-steady:duration=5", ["fixed", "printed-spin", "aimd"], replications=1)
    _, panels, _ = found.picture()
    assert [panel.title for panel in panels] == [
        "fixed = printed-spin:\nsaturated 1/1, equal to the bit",
        "aimd: oscillates 1/1",
    ]
    figure: Any = found.plot()
    assert len([ax for ax in figure.axes if ax.get_visible()]) == 2


def test_calls_that_cost_are_drawn_in_cost_on_one_axis(tmp_path: Path) -> None:
    """Calls of 200 and 600 by turns, 4000 of cost a second: 10 calls a second, of which the law
    commands all."""
    path, clock = tmp_path / "run.ndjson", VirtualClock()
    handle = throttle(
        range(100), 4000.0, controller="token-bucket", clock=clock, record=path,
        cost=lambda k: 200.0 + 400.0 * (k % 2),
    )  # fmt: skip
    for _ in handle:
        pass
    recording = read_journal(path)
    run = live_run(recording, play(recording).calls)
    figure: Any = live_figure("t", run)
    rates = figure.axes[0]
    assert rates.get_ylabel() == "cost per second"
    assert list(lines(rates)) == ["released cost a second", "ceiling (wanted)", "commanded rate"]
    drawn = lines(rates)["released cost a second"].get_data()
    assert (drawn.values * np.diff(drawn.edges)).sum() == pytest.approx(100 * 400.0)
    # The law commands the target, but for a mean that is up to a twentieth off.
    commanded = lines(rates)["commanded rate"].get_ydata()
    assert commanded[10:] == pytest.approx(4000.0, rel=0.06)
