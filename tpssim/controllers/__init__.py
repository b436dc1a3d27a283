"""The laws, each written once: a record of parameters with pure `init` and `update`.

To add one: its file in this folder, one line here, one test file. Nothing else needs to know.
"""

import math
from collections.abc import Iterable
from itertools import compress
from typing import Any

from tpssim.controllers.aegis_bbr import AegisBbr
from tpssim.controllers.aimd import Aimd
from tpssim.controllers.aimd_epoch import AimdEpoch
from tpssim.controllers.bbr import Bbr
from tpssim.controllers.botocore_cubic import BotocoreCubic
from tpssim.controllers.breakwater import Breakwater
from tpssim.controllers.brpc_auto import BrpcAuto
from tpssim.controllers.busy_time import BusyTime
from tpssim.controllers.codel import Codel
from tpssim.controllers.codel_folly import CodelFolly
from tpssim.controllers.dagor import Dagor
from tpssim.controllers.envoy_gradient import EnvoyGradient
from tpssim.controllers.ewma_deadzone import EwmaDeadzone
from tpssim.controllers.failsafe_adaptive import FailsafeAdaptive
from tpssim.controllers.firestore_ramp import FirestoreRamp
from tpssim.controllers.fixed import Fixed
from tpssim.controllers.gozero_breaker import GozeroBreaker
from tpssim.controllers.gozero_shedder import GozeroShedder
from tpssim.controllers.headroom import Headroom
from tpssim.controllers.netflix_aimd import NetflixAimd
from tpssim.controllers.netflix_gradient import NetflixGradient
from tpssim.controllers.netflix_gradient2 import NetflixGradient2
from tpssim.controllers.netflix_vegas import NetflixVegas
from tpssim.controllers.pi import Pi
from tpssim.controllers.pid import Pid
from tpssim.controllers.pie import Pie
from tpssim.controllers.scrapy_autothrottle import ScrapyAutothrottle
from tpssim.controllers.seda import Seda
from tpssim.controllers.servicetalk_gradient import ServicetalkGradient
from tpssim.controllers.spark_pid import SparkPid
from tpssim.controllers.sre_throttling import SreThrottling
from tpssim.controllers.token_bucket import TokenBucket
from tpssim.controllers.topfull_mimd import TopfullMimd
from tpssim.controllers.vector_arc import VectorArc
from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.types import ACTUATORS
from tpssim.core.validation import parse_spec, replaced

CONTROLLERS: dict[str, Any] = {
    "fixed": Fixed,
    "token-bucket": TokenBucket,
    "aimd": Aimd,
    "ewma-deadzone": EwmaDeadzone,
    "headroom": Headroom,
    "busy-time": BusyTime,
    "botocore-cubic": BotocoreCubic,
    "scrapy-autothrottle": ScrapyAutothrottle,
    "spark-pid": SparkPid,
    "firestore-ramp": FirestoreRamp,
    "aimd-epoch": AimdEpoch,
    "pid": Pid,
    "pi": Pi,
    "bbr": Bbr,
    "seda": Seda,
    "topfull-mimd": TopfullMimd,
    "netflix-aimd": NetflixAimd,
    "netflix-vegas": NetflixVegas,
    "netflix-gradient": NetflixGradient,
    "netflix-gradient2": NetflixGradient2,
    "envoy-gradient": EnvoyGradient,
    "servicetalk-gradient": ServicetalkGradient,
    "vector-arc": VectorArc,
    "failsafe-adaptive": FailsafeAdaptive,
    "brpc-auto": BrpcAuto,
    "breakwater": Breakwater,
    "sre-throttling": SreThrottling,
    "codel": Codel,
    "codel-folly": CodelFolly,
    "pie": Pie,
    "gozero-breaker": GozeroBreaker,
    "aegis-bbr": AegisBbr,
    "gozero-shedder": GozeroShedder,
    "dagor": Dagor,
}


#: What `controller="auto"` stands for.
RECOMMENDED = "headroom"


def own_law(text: str) -> InputError:
    """The error for a law of the user's own, by where it stands.

    >>> print(own_law("mine.py:Halving"))
    'mine.py:Halving': a law of your own is given from Python, as a record: \
tpssim.compare(..., [Halving()]); allowed: those of `python -m tpssim list controllers`
    """
    name = text.partition(".py:")[2].partition(":")[0]
    name = name if name.isidentifier() else "Mine"
    how = f"a law of your own is given from Python, as a record: tpssim.compare(..., [{name}()])"
    return InputError(f"{text!r}: {how}; allowed: {all_of('controllers')}")


def law_named(text: str, others: Iterable[str] = ()) -> tuple[str, Any]:
    """(name, law) of `NAME:key=value,...`; raises `InputError`, which also names `others` as
    allowed.

    >>> law_named("auto:slack=0.1")[1].slack
    0.1
    """
    if ".py:" in text:
        raise own_law(text)
    name, parameters = parse_spec(text)
    name = RECOMMENDED if name == "auto" else name
    if name not in CONTROLLERS:
        known = ["auto", *CONTROLLERS, *others]
        raise no_such("controller", name, known, shown=f"auto, or {all_of('controllers')}")
    return name, replaced(CONTROLLERS[name](), name, parameters)


def actuators_of(law: Any) -> tuple[str, ...]:
    """What a law commands of `ACTUATORS`: what its class says, else those that its first state does
    not leave open, else (they are all open) any of them; raises `InputError`.

    >>> actuators_of(CONTROLLERS["headroom"]())
    ('rate', 'limit', 'reject')
    """
    named = getattr(law, "actuators", None)
    if named is None:
        state = law.init(1.0)
        closed = (state.rate < math.inf, state.limit < math.inf, state.reject > 0.0)
        return tuple(compress(ACTUATORS, closed)) or ACTUATORS
    if not isinstance(named, tuple) or not named or not set(named) <= set(ACTUATORS):
        allowed = "a tuple of " + ", ".join(map(repr, ACTUATORS))
        raise InputError(f"{type(law).__name__}: actuators={named!r}; allowed: {allowed}")
    return named
