"""tpssim: a bench for the controllers that decide how fast a Python program calls something.

Importing this package loads nothing outside the standard library; what is heavier is loaded when it
is first used.

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

from tpssim.core.types import VERSION

if TYPE_CHECKING:
    from tpssim.controllers import CONTROLLERS as CONTROLLERS
    from tpssim.core.clocks import VirtualClock as VirtualClock
    from tpssim.core.errors import Aborted as Aborted
    from tpssim.core.errors import InputError as InputError
    from tpssim.core.profiles import Stages as Stages
    from tpssim.core.quotas import Quota as Quota
    from tpssim.core.schedule import AUTO as AUTO
    from tpssim.core.schedule import BURST as BURST
    from tpssim.core.schedule import DELAY as DELAY
    from tpssim.core.schedule import SKIP as SKIP
    from tpssim.core.schedule import Late as Late
    from tpssim.core.schedule import capped as capped
    from tpssim.core.timer_models import TIMERS as TIMERS
    from tpssim.core.timer_models import TimerModel as TimerModel
    from tpssim.core.types import Observation as Observation
    from tpssim.core.validation import Range as Range
    from tpssim.core.window import Sensor as Sensor
    from tpssim.experiments.analysis.analyses import Analysis as Analysis
    from tpssim.experiments.analysis.analyses import analyse as analyse
    from tpssim.experiments.compare import compare as compare
    from tpssim.experiments.comparison import Comparison as Comparison
    from tpssim.experiments.explore import explore as explore
    from tpssim.experiments.fitting.estimate import fit as fit
    from tpssim.experiments.random_services import random_scenarios as random_scenarios
    from tpssim.experiments.recommend import recommend as recommend
    from tpssim.experiments.sweep.sweep import sweep as sweep
    from tpssim.experiments.sweep.sweep_result import SweepResult as SweepResult
    from tpssim.experiments.tuning.sensitivity import Sensitivity as Sensitivity
    from tpssim.experiments.tuning.sensitivity import sensitivity as sensitivity
    from tpssim.experiments.tuning.tune import tune as tune
    from tpssim.experiments.tuning.tune_result import TuneResult as TuneResult
    from tpssim.live.async_runs import arun as arun
    from tpssim.live.async_throttle import athrottle as athrottle
    from tpssim.live.limiter import Limiter as Limiter
    from tpssim.live.outcomes import Rejected as Rejected
    from tpssim.live.report import ThrottleWarning as ThrottleWarning
    from tpssim.live.runs import run as run
    from tpssim.live.throttle import throttle as throttle
    from tpssim.metrics.measure import METRICS as METRICS
    from tpssim.metrics.measure import measure as measure
    from tpssim.metrics.verdicts import judge as judge
    from tpssim.scenarios.builtin import SCENARIOS as SCENARIOS
    from tpssim.scenarios.builtin import trace_scenario as trace_scenario
    from tpssim.scenarios.disturbances import Background as Background
    from tpssim.scenarios.disturbances import Ramp as Ramp
    from tpssim.scenarios.disturbances import Sine as Sine
    from tpssim.scenarios.disturbances import Spike as Spike
    from tpssim.scenarios.disturbances import Stall as Stall
    from tpssim.scenarios.disturbances import Step as Step
    from tpssim.scenarios.disturbances import Swap as Swap
    from tpssim.scenarios.feedback import Feedback as Feedback
    from tpssim.scenarios.files import read_scenario as read_scenario
    from tpssim.scenarios.plant import Async as Async
    from tpssim.scenarios.plant import Backend as Backend
    from tpssim.scenarios.plant import Blocking as Blocking
    from tpssim.scenarios.plant import Pool as Pool
    from tpssim.scenarios.producers import Producer as Producer
    from tpssim.scenarios.recordings.calls import Recording as Recording
    from tpssim.scenarios.recordings.reading import read_recording as read_recording
    from tpssim.scenarios.retries import Retry as Retry
    from tpssim.scenarios.scenario import Scenario as Scenario
    from tpssim.scenarios.service_quotas import ServiceQuota as ServiceQuota
    from tpssim.scenarios.service_times import Autocorrelated as Autocorrelated
    from tpssim.scenarios.service_times import Constant as Constant
    from tpssim.scenarios.service_times import Exponential as Exponential
    from tpssim.scenarios.service_times import Gamma as Gamma
    from tpssim.scenarios.service_times import Lognormal as Lognormal
    from tpssim.scenarios.service_times import Pareto as Pareto
    from tpssim.scenarios.service_times import Recorded as Recorded
    from tpssim.scenarios.service_times import TwoPhase as TwoPhase
    from tpssim.simulation.run import simulate as simulate
    from tpssim.simulation.trace import Trace as Trace

__version__ = VERSION
_loaded = time()  # sources that are changed later are not those that run

#: Where each public name stands. `import tpssim` reads none of these modules.
_MODULES = {
    "AUTO": "core.schedule",
    "Aborted": "core.errors",
    "Analysis": "experiments.analysis.analyses",
    "Async": "scenarios.plant",
    "Autocorrelated": "scenarios.service_times",
    "BURST": "core.schedule",
    "Background": "scenarios.disturbances",
    "Backend": "scenarios.plant",
    "Blocking": "scenarios.plant",
    "CONTROLLERS": "controllers",
    "Comparison": "experiments.comparison",
    "Constant": "scenarios.service_times",
    "DELAY": "core.schedule",
    "Exponential": "scenarios.service_times",
    "Feedback": "scenarios.feedback",
    "Gamma": "scenarios.service_times",
    "InputError": "core.errors",
    "Late": "core.schedule",
    "Limiter": "live.limiter",
    "Lognormal": "scenarios.service_times",
    "METRICS": "metrics.measure",
    "Observation": "core.types",
    "Pareto": "scenarios.service_times",
    "Pool": "scenarios.plant",
    "Producer": "scenarios.producers",
    "Quota": "core.quotas",
    "Ramp": "scenarios.disturbances",
    "Range": "core.validation",
    "Recorded": "scenarios.service_times",
    "Recording": "scenarios.recordings.calls",
    "Rejected": "live.outcomes",
    "Retry": "scenarios.retries",
    "SCENARIOS": "scenarios.builtin",
    "SKIP": "core.schedule",
    "Scenario": "scenarios.scenario",
    "Sensitivity": "experiments.tuning.sensitivity",
    "Sensor": "core.window",
    "ServiceQuota": "scenarios.service_quotas",
    "Sine": "scenarios.disturbances",
    "Spike": "scenarios.disturbances",
    "Stages": "core.profiles",
    "Stall": "scenarios.disturbances",
    "Step": "scenarios.disturbances",
    "Swap": "scenarios.disturbances",
    "SweepResult": "experiments.sweep.sweep_result",
    "TIMERS": "core.timer_models",
    "ThrottleWarning": "live.report",
    "TimerModel": "core.timer_models",
    "Trace": "simulation.trace",
    "TuneResult": "experiments.tuning.tune_result",
    "TwoPhase": "scenarios.service_times",
    "VirtualClock": "core.clocks",
    "analyse": "experiments.analysis.analyses",
    "arun": "live.async_runs",
    "athrottle": "live.async_throttle",
    "capped": "core.schedule",
    "compare": "experiments.compare",
    "explore": "experiments.explore",
    "fit": "experiments.fitting.estimate",
    "judge": "metrics.verdicts",
    "measure": "metrics.measure",
    "random_scenarios": "experiments.random_services",
    "recommend": "experiments.recommend",
    "read_recording": "scenarios.recordings.reading",
    "read_scenario": "scenarios.files",
    "run": "live.runs",
    "sensitivity": "experiments.tuning.sensitivity",
    "simulate": "simulation.run",
    "sweep": "experiments.sweep.sweep",
    "throttle": "live.throttle",
    "trace_scenario": "scenarios.builtin",
    "tune": "experiments.tuning.tune",
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
