"""Pictures of finished runs, with matplotlib. It takes arrays and can start no run."""

from matplotlib.figure import Figure

from tpssim.output.pictures import Frame, Panel
from tpssim.output.plots.common import save, svg
from tpssim.output.plots.fits import fit_figure
from tpssim.output.plots.goodputs import Goodputs, goodput_figure
from tpssim.output.plots.live_runs import LiveRun, live_figure
from tpssim.output.plots.loops import analysis_figure
from tpssim.output.plots.maps import heat_figure, line_figure, lines_over, mean_over
from tpssim.output.plots.matrix import matrix_figure
from tpssim.output.plots.overlays import overlay_figure
from tpssim.output.plots.rates import Scales, drawn, panel_figure, rate_figure, scales_of
from tpssim.output.plots.recommendations import recommend_figure
from tpssim.output.plots.searches import (
    Column,
    Shown,
    convergence_figure,
    pareto_figure,
    profile_figure,
    sensitivity_figure,
)

__all__ = [
    "Column",
    "Figure",
    "Frame",
    "Goodputs",
    "LiveRun",
    "Panel",
    "Scales",
    "Shown",
    "analysis_figure",
    "convergence_figure",
    "drawn",
    "fit_figure",
    "goodput_figure",
    "heat_figure",
    "line_figure",
    "lines_over",
    "live_figure",
    "matrix_figure",
    "mean_over",
    "overlay_figure",
    "panel_figure",
    "pareto_figure",
    "profile_figure",
    "rate_figure",
    "recommend_figure",
    "save",
    "scales_of",
    "sensitivity_figure",
    "svg",
]
