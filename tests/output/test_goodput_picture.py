"""Goodput before and after: what is drawn, from numbers chosen by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from tpssim.output import plots


def panel(title: str, *, width: float = 2.0) -> plots.Goodputs:
    """Three windows, in which 10 were achievable, 5 delivered before and 9 after."""
    edges = width * np.arange(4.0)
    best, before, after = (np.full(3, rate) for rate in (10.0, 5.0, 9.0))
    return plots.Goodputs(title, edges, best, before, after, (0.5, 0.9))


def test_what_was_achievable_is_an_area_and_both_runs_are_lines_over_it() -> None:
    figure: Any = plots.goodput_figure("t", [panel("slow"), panel("far", width=4.0)])
    first, second, *rest = figure.axes
    assert not any(ax.get_visible() for ax in rest)
    (area,) = first.patches
    assert area.get_data().values.tolist() == [10.0] * 3
    assert [line.get_xdata().tolist() for line in first.lines] == [[1.0, 3.0, 5.0]] * 2
    assert [line.get_ydata()[0] for line in first.lines] == [5.0, 9.0]
    assert [line.get_label() for line in first.lines] == ["before", "after"]
    assert [ax.get_xlim() for ax in (first, second)] == [(0.0, 6.0), (0.0, 12.0)]
    assert first.get_ylim() == (0.0, 11.5)
    assert [text.get_text() for text in first.texts] == ["50 %", "→ 90 %"]
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["slow", "far"]
    assert figure.get_supylabel() == "calls per second that come in time"


def test_the_lowest_panels_name_the_time_and_the_lines_differ_without_colour() -> None:
    figure: Any = plots.goodput_figure("t", [panel(str(k)) for k in range(5)])
    named = [bool(ax.get_xlabel()) for ax in figure.axes]
    assert named == [False, False, True, True, True, False]
    before, after = figure.axes[0].lines
    assert before.get_linestyle() != after.get_linestyle()
