"""Pictures of a load over time: what is wanted, what of it can be had, and what was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

import tpssim
from tpssim import Backend, Constant, Scenario, ServiceQuota, Stages
from tpssim.core.types import OK, REFUSED, REJECTED
from tpssim.output import plots
from tpssim.output.html import drawings
from tpssim.output.pictures import Panel, panel, read_picture
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.loads import LOADS
from tpssim.scenarios.user_reports import IN_FLIGHT

QUOTA = Backend(quotas=(ServiceQuota(10.0, 1.0),))
LOAD = Scenario("load", Constant(0.01), Stages("4s:40,4s:0"), 8.0, IN_FLIGHT)


def test_what_is_wanted_is_a_line_over_what_can_be_had() -> None:
    plant = LOAD._replace(backend=QUOTA)
    steps, shades, most, duration, wanted, of = frame(plant)
    assert (shades, duration, of) == ([], 8.0, "calls")
    assert most == pytest.approx(40.0)
    # 10 t is over 10 a second from 1 s to 7 s.
    assert wanted[0] == (0.0, 0.0)
    assert [rate for t, rate in wanted if t == 4.0] == [40.0]
    assert {rate for start, end, rate in steps if start >= 1.0 and end <= 7.0} == {10.0}
    assert max(rate for start, end, rate in steps if end <= 1.0) < 10.0
    (ax,) = tpssim.simulate(plant, "fixed").plot().axes
    lines: dict[Any, Any] = {line.get_label(): line for line in ax.get_lines()}
    assert set(lines) >= {"wanted", "commanded rate"}
    assert max(lines["wanted"].get_ydata()) == pytest.approx(40.0)
    assert {patch.get_label() for patch in ax.patches} == {"achievable", "refused by the service"}
    assert len({to_hex(patch.get_facecolor()) for patch in ax.patches}) == 2


def test_a_plain_load_is_drawn_as_before() -> None:
    plain = LOAD._replace(target=40.0)
    assert frame(plain)[4:] == ([], "calls")
    (ax,) = tpssim.simulate(plain, "fixed").plot().axes
    assert "wanted" not in {line.get_label() for line in ax.get_lines()}


def test_calls_are_drawn_as_their_costs() -> None:
    plant = LOAD._replace(target=40.0, cost=Constant(4.0), backend=QUOTA)
    assert frame(plant)[0] == [(0.0, 8.0, 40.0)]  # 10 calls of cost 4
    (ax,) = tpssim.simulate(plant, "fixed").plot().axes
    assert ax.get_ylabel() == "cost per second"
    lines: list[Any] = list(ax.get_lines())
    (delivered,) = (line for line in lines if "delivered" in line.get_label())
    assert np.mean(delivered.get_ydata()) == pytest.approx(40.0, rel=0.1)


def test_a_picture_of_a_load_is_read_from_its_file(tmp_path: Path) -> None:
    run = tpssim.simulate(LOAD._replace(backend=QUOTA), "fixed")
    run.to_npz(tmp_path / "t.npz")
    read = read_picture(tmp_path / "t.npz")
    assert read is not None
    panel, drawn, _ = read
    assert [tuple(point) for point in drawn.wanted] == frame(run.scenario)[4]
    assert (panel.commanded == run.panel("").commanded).all()
    # On the way up the command is the target: 10 t, as of the last release.
    assert panel.commanded[250] == pytest.approx(10.0 * panel.t[250], rel=0.06)


def refusing() -> Panel:
    """120 s, in pictures 1 s a bin: one call served, one refused by the service, three here."""
    due = np.array([0.5, 10.25, 10.5, 10.75, 50.5])
    gone = np.array([False, True, False, True, True])
    columns: dict[str, Any] = {
        "scheduled": due,
        "released": np.where(gone, np.nan, due),
        "completed": np.where(gone, np.nan, due + 0.1),
        "outcome": np.array([OK, REFUSED, REJECTED, REFUSED, REFUSED], dtype=np.int8),
        "rate": np.full(5, 4.0),
        "limit": np.full(5, np.inf),
        "producer": np.zeros(5, dtype=np.int32),
    }
    return panel(columns, [(0.0, 120.0)], [([0.0], [4.0])], 120.0, "")


PLAIN = plots.Frame([(0.0, 120.0, 2.0)], [], 4.0, 120.0)
WANTED = PLAIN._replace(wanted=[(0.0, 4.0), (120.0, 4.0)])


@pytest.mark.parametrize("seen", [PLAIN, WANTED], ids=["plain", "load"])
def test_what_was_refused_here_is_an_area_of_its_own(seen: plots.Frame) -> None:
    figure: Any = plots.rate_figure("t", [refusing()], seen)
    areas = {patch.get_label(): patch for patch in figure.axes[0].patches}
    here = areas["refused here"].get_data()
    assert (here.values[10], here.values[50], here.values.sum()) == (2.0, 1.0, 3.0)
    assert here.edges[10] == pytest.approx(10.0)
    there = areas["refused by the service"].get_data()
    assert (there.values[10], there.values.sum()) == (1.0, 1.0)
    assert areas["refused here"].get_hatch()
    assert not areas["refused by the service"].get_hatch()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"refused here", "refused by the service"} <= set(legend)
    keys = {key.name: key.style for key in drawings.legend([(refusing(), seen, {})])}
    assert (keys["refused here"], keys["refused by the service"]) == ("hatched", "filled")
    assert ("wanted" in keys, keys["achievable"]) == (
        (True, "filled") if seen.wanted else (False, "dashed")
    )


def test_where_nothing_was_refused_no_area_says_so() -> None:
    served = refusing()._replace(refused=np.array([]), refused_here=np.array([]))
    figure: Any = plots.rate_figure("t", [served], WANTED)
    assert [patch.get_label() for patch in figure.axes[0].patches] == ["achievable"]
    assert "refused here" not in {key.name for key in drawings.legend([(served, WANTED, {})])}
    assert len(plots.overlay_figure("t", [served], PLAIN, "wanted").axes) == 2


def test_runs_over_one_another_show_what_each_refused_here() -> None:
    figure: Any = plots.overlay_figure("t", [refusing()], PLAIN, "wanted")
    assert figure.axes[-1].get_ylabel() == "refused here (1/s)"
    (line,) = figure.axes[-1].get_lines()
    # Bins of 2 s: two calls of 10 to 12 s, one of 50 to 52 s.
    assert (line.get_ydata()[5], line.get_ydata()[25], sum(line.get_ydata())) == (1.0, 0.5, 1.5)


def test_a_hatch_in_a_page_leads_to_its_pattern() -> None:
    picture: drawings.Picture = (refusing(), PLAIN, {})
    page = drawings.panel(picture, "rates", drawings.shared_axes([picture]))
    named = page.partition("fill: url(#")[2].partition(")")[0]
    assert named
    assert f'<pattern id="{named}"' in page


def test_titles_of_neighbours_stand_free() -> None:
    long = "sre-throttling: stuck 10/10, 12 % refused here, 75 % in vain or too late"
    figure: Any = plots.rate_figure("t", [refusing()._replace(title=long)] * 4, PLAIN)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [ax.title.get_window_extent(canvas.get_renderer()) for ax in figure.axes]
    for left, right in (boxes[:2], boxes[2:]):
        assert 0.0 <= left.x0 < left.x1 < right.x0 < right.x1 <= figure.bbox.x1
    assert figure.axes[0].bbox.y0 > boxes[2].y1
    assert boxes[0].y1 < figure._suptitle.get_window_extent().y0


@pytest.mark.parametrize("scenario", LOADS, ids=lambda scenario: str(scenario.name))
def test_a_load_has_something_to_show(scenario: Scenario) -> None:
    _, shades, _, _, wanted, _ = frame(scenario)
    assert wanted or shades
