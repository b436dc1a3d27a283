"""tpssim: a bench for the controllers that decide how fast a Python program calls something.

Importing this package loads nothing outside the standard library; what is heavier is loaded when it is
first used.

>>> from tpssim import CONTROLLERS, METRICS, SCENARIOS, simulate
>>> SCENARIOS["degrade-recover"].target, METRICS["drift"].unit, CONTROLLERS["aimd"]().dec_rate
(200.0, 'ppm', 0.7)
>>> from tpssim import TIMERS, Lognormal, Pool, Scenario
>>> Scenario("mine", Lognormal(0.02, 0.5), 50.0, 20.0, Pool(4.0), timer=TIMERS["linux"]).target
50.0
>>> simulate("degrade-recover:duration=12", "aimd").meta["controller"]
'aimd'
"""

from __future__ import annotations

from importlib import import_module
from time import time
from typing import TYPE_CHECKING, Any

from tpssim.core import VERSION

if TYPE_CHECKING:
    from tpssim.analysis.analyses import Analysis as Analysis
    from tpssim.analysis.analyses import analyse as analyse
    from tpssim.clock import VirtualClock as VirtualClock
    from tpssim.comparison import Comparison as Comparison
    from tpssim.controllers import CONTROLLERS as CONTROLLERS
    from tpssim.core import Observation as Observation
    from tpssim.disturbances import Ramp as Ramp
    from tpssim.disturbances import Sine as Sine
    from tpssim.disturbances import Spike as Spike
    from tpssim.disturbances import Stall as Stall
    from tpssim.disturbances import Step as Step
    from tpssim.disturbances import Swap as Swap
    from tpssim.errors import Aborted as Aborted
    from tpssim.errors import InputError as InputError
    from tpssim.experiment import compare as compare
    from tpssim.live.account import ThrottleWarning as ThrottleWarning
    from tpssim.live.async_runs import arun as arun
    from tpssim.live.blocking import throttle as throttle
    from tpssim.live.limiter import Limiter as Limiter
    from tpssim.live.loops import athrottle as athrottle
    from tpssim.live.outcomes import Rejected as Rejected
    from tpssim.live.runs import run as run
    from tpssim.metrics import METRICS as METRICS
    from tpssim.metrics import measure as measure
    from tpssim.pacing import AUTO as AUTO
    from tpssim.pacing import BURST as BURST
    from tpssim.pacing import DELAY as DELAY
    from tpssim.pacing import SKIP as SKIP
    from tpssim.pacing import Late as Late
    from tpssim.pacing import capped as capped
    from tpssim.plant import Async as Async
    from tpssim.plant import Backend as Backend
    from tpssim.plant import Blocking as Blocking
    from tpssim.plant import Pool as Pool
    from tpssim.plant import Retry as Retry
    from tpssim.runs import simulate as simulate
    from tpssim.scenario import Producer as Producer
    from tpssim.scenario import Scenario as Scenario
    from tpssim.scenarios import SCENARIOS as SCENARIOS
    from tpssim.scenarios import trace_scenario as trace_scenario
    from tpssim.sensor import Sensor as Sensor
    from tpssim.services import Constant as Constant
    from tpssim.services import Exponential as Exponential
    from tpssim.services import Gamma as Gamma
    from tpssim.services import Lognormal as Lognormal
    from tpssim.services import Pareto as Pareto
    from tpssim.services import Recorded as Recorded
    from tpssim.services import TwoPhase as TwoPhase
    from tpssim.sweeping.sweep_result import SweepResult as SweepResult
    from tpssim.sweeping.sweeps import sweep as sweep
    from tpssim.timer_models import TIMERS as TIMERS
    from tpssim.timer_models import TimerModel as TimerModel
    from tpssim.traces import Trace as Trace
    from tpssim.tuning.sensitivity import Sensitivity as Sensitivity
    from tpssim.tuning.sensitivity import sensitivity as sensitivity
    from tpssim.tuning.tune_result import TuneResult as TuneResult
    from tpssim.tuning.tunes import tune as tune
    from tpssim.validation_ import Range as Range
    from tpssim.verdicts import judge as judge
    from tpssim.widgets import explore as explore

__version__ = VERSION
_loaded = time()  # sources that are changed later are not those that run

#: Where each public name stands. `import tpssim` reads none of these modules.
_MODULES = {
    "AUTO": "pacing",
    "Aborted": "errors",
    "Analysis": "analysis.analyses",
    "Async": "plant",
    "BURST": "pacing",
    "Backend": "plant",
    "Blocking": "plant",
    "CONTROLLERS": "controllers",
    "Comparison": "comparison",
    "Constant": "services",
    "DELAY": "pacing",
    "Exponential": "services",
    "Gamma": "services",
    "InputError": "errors",
    "Late": "pacing",
    "Limiter": "live.limiter",
    "Lognormal": "services",
    "METRICS": "metrics",
    "Observation": "core",
    "Pareto": "services",
    "Pool": "plant",
    "Producer": "scenario",
    "Ramp": "disturbances",
    "Range": "validation_",
    "Recorded": "services",
    "Rejected": "live.outcomes",
    "Retry": "plant",
    "SCENARIOS": "scenarios",
    "SKIP": "pacing",
    "Scenario": "scenario",
    "Sensitivity": "tuning.sensitivity",
    "Sensor": "sensor",
    "Sine": "disturbances",
    "Spike": "disturbances",
    "Stall": "disturbances",
    "Step": "disturbances",
    "Swap": "disturbances",
    "SweepResult": "sweeping.sweep_result",
    "TIMERS": "timer_models",
    "ThrottleWarning": "live.account",
    "TimerModel": "timer_models",
    "Trace": "traces",
    "TuneResult": "tuning.tune_result",
    "TwoPhase": "services",
    "VirtualClock": "clock",
    "analyse": "analysis.analyses",
    "arun": "live.async_runs",
    "athrottle": "live.loops",
    "capped": "pacing",
    "compare": "experiment",
    "explore": "widgets",
    "judge": "verdicts",
    "measure": "metrics",
    "run": "live.runs",
    "sensitivity": "tuning.sensitivity",
    "simulate": "runs",
    "sweep": "sweeping.sweeps",
    "throttle": "live.blocking",
    "trace_scenario": "scenarios",
    "tune": "tuning.tunes",
}

__all__ = sorted(_MODULES)


def _loaded_name(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


if not TYPE_CHECKING:  # a type checker is to see the names above, and no others
    __getattr__ = _loaded_name


def __dir__() -> list[str]:
    return __all__
