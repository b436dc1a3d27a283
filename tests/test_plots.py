"""Pictures: nothing that is written is cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tpssim import plots


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("producers", [0, 3])
def test_title_and_legend_of_rates_lie_within_the_figure(count: int, producers: int) -> None:
    t = np.linspace(0.0, 60.0, 100)
    panel = plots.Panel("", t, np.full(100, 90.0), t, [t] * producers)
    frame = plots.Frame([(0.0, 60.0, 80.0)], [(10.0, 30.0)], 100.0, 60.0)
    figure: Any = plots.rate_figure("a long title of many words " * 5, [panel] * count, frame)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    title = figure._suptitle.get_window_extent(renderer)
    legend = figure.legends[0].get_window_extent(renderer)
    for box in (title, legend):
        assert 0.0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0.0 <= box.y0 < box.y1 <= figure.bbox.height
    axes = [ax.get_tightbbox(renderer) for ax in figure.axes if ax.get_visible()]
    assert max(box.y1 for box in axes) <= title.y0
    assert legend.y1 <= min(box.y0 for box in axes)
