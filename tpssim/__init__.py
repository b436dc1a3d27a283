"""tpssim: a bench for the controllers that decide how fast a Python program calls something.

Importing this package loads nothing outside the standard library; what is heavier is loaded when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tpssim.core import VERSION

if TYPE_CHECKING:
    from tpssim.analysis.analyses import Analysis, analyse
    from tpssim.comparison import Comparison
    from tpssim.controllers import CONTROLLERS
    from tpssim.core import Aborted, InputError, Observation
    from tpssim.experiment import compare, simulate
    from tpssim.live.account import ThrottleWarning
    from tpssim.live.blocking import run, throttle
    from tpssim.live.loops import arun, athrottle
    from tpssim.live.permits import Rejected
    from tpssim.metrics import METRICS, measure
    from tpssim.scenario import Scenario
    from tpssim.scenarios import SCENARIOS, trace_scenario
    from tpssim.sweeping.sweep_result import SweepResult
    from tpssim.sweeping.sweeps import sweep
    from tpssim.traces import Trace
    from tpssim.tuning.sensitivity import Sensitivity, sensitivity
    from tpssim.tuning.tune_result import TuneResult
    from tpssim.tuning.tunes import tune
    from tpssim.verdicts import judge
    from tpssim.widgets import explore

__version__ = VERSION

_ROOMS = {
    "Aborted": "core",
    "Analysis": "analysis.analyses",
    "CONTROLLERS": "controllers",
    "Comparison": "comparison",
    "InputError": "core",
    "METRICS": "metrics",
    "Observation": "core",
    "Rejected": "live.permits",
    "SCENARIOS": "scenarios",
    "Scenario": "scenario",
    "Sensitivity": "tuning.sensitivity",
    "SweepResult": "sweeping.sweep_result",
    "ThrottleWarning": "live.account",
    "Trace": "traces",
    "analyse": "analysis.analyses",
    "TuneResult": "tuning.tune_result",
    "arun": "live.loops",
    "athrottle": "live.loops",
    "compare": "experiment",
    "explore": "widgets",
    "judge": "verdicts",
    "measure": "metrics",
    "run": "live.blocking",
    "sensitivity": "tuning.sensitivity",
    "simulate": "experiment",
    "sweep": "sweeping.sweeps",
    "throttle": "live.blocking",
    "trace_scenario": "scenarios",
    "tune": "tuning.tunes",
}

__all__ = [
    "CONTROLLERS",
    "METRICS",
    "SCENARIOS",
    "Aborted",
    "Analysis",
    "Comparison",
    "InputError",
    "Observation",
    "Rejected",
    "Scenario",
    "Sensitivity",
    "SweepResult",
    "ThrottleWarning",
    "Trace",
    "TuneResult",
    "analyse",
    "arun",
    "athrottle",
    "compare",
    "explore",
    "judge",
    "measure",
    "run",
    "sensitivity",
    "simulate",
    "sweep",
    "throttle",
    "trace_scenario",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
