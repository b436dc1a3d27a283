"""Pictures of a load over time: what is wanted, what of it can be had, and what was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

import tpssim
from tpssim import Backend, Constant, Scenario, ServiceQuota, Stages
from tpssim.output.pictures import read_picture
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


@pytest.mark.parametrize("scenario", LOADS, ids=lambda scenario: str(scenario.name))
def test_a_load_has_something_to_show(scenario: Scenario) -> None:
    _, shades, _, _, wanted, _ = frame(scenario)
    assert wanted or shades
