"""The laws, each written once: a record of parameters with pure `init` and `update`.

To add one: its file in this folder, one line here, one test file. Nothing else needs to know.
"""

import inspect
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from tpssim.controllers.aimd import Aimd
from tpssim.controllers.aimd_epoch import AimdEpoch
from tpssim.controllers.bbr import Bbr
from tpssim.controllers.botocore_cubic import BotocoreCubic
from tpssim.controllers.brpc_auto import BrpcAuto
from tpssim.controllers.busy_time import BusyTime
from tpssim.controllers.codel import Codel
from tpssim.controllers.codel_folly import CodelFolly
from tpssim.controllers.envoy_gradient import EnvoyGradient
from tpssim.controllers.ewma_deadzone import EwmaDeadzone
from tpssim.controllers.failsafe_adaptive import FailsafeAdaptive
from tpssim.controllers.firestore_ramp import FirestoreRamp
from tpssim.controllers.fixed import Fixed
from tpssim.controllers.gozero_breaker import GozeroBreaker
from tpssim.controllers.headroom import Headroom
from tpssim.controllers.netflix_aimd import NetflixAimd
from tpssim.controllers.netflix_gradient import NetflixGradient
from tpssim.controllers.netflix_gradient2 import NetflixGradient2
from tpssim.controllers.netflix_vegas import NetflixVegas
from tpssim.controllers.pi import Pi
from tpssim.controllers.pid import Pid
from tpssim.controllers.pie import Pie
from tpssim.controllers.scrapy_autothrottle import ScrapyAutothrottle
from tpssim.controllers.spark_pid import SparkPid
from tpssim.controllers.sre_throttling import SreThrottling
from tpssim.controllers.token_bucket import TokenBucket
from tpssim.controllers.vector_arc import VectorArc
from tpssim.core import no_such, parse_spec, replaced

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
    "netflix-aimd": NetflixAimd,
    "netflix-vegas": NetflixVegas,
    "netflix-gradient": NetflixGradient,
    "netflix-gradient2": NetflixGradient2,
    "envoy-gradient": EnvoyGradient,
    "vector-arc": VectorArc,
    "failsafe-adaptive": FailsafeAdaptive,
    "brpc-auto": BrpcAuto,
    "sre-throttling": SreThrottling,
    "codel": Codel,
    "codel-folly": CodelFolly,
    "pie": Pie,
    "gozero-breaker": GozeroBreaker,
}


#: What `controller="auto"` stands for.
RECOMMENDED = "headroom"


def law_named(text: str, others: Iterable[str] = ()) -> tuple[str, Any]:
    """(name, law) of `NAME:key=value,...`; raises `InputError`, which also names `others` as allowed.

    >>> law_named("auto:slack=0.1")[1].slack
    0.1
    """
    name, parameters = parse_spec(text)
    name = RECOMMENDED if name == "auto" else name
    if name not in CONTROLLERS:
        raise no_such("controller", name, ["auto", *CONTROLLERS, *others])
    return name, replaced(CONTROLLERS[name](), name, parameters)


class Facts(NamedTuple):
    """What the docstring of a law says of it in a word."""

    valve: str  #: rate, limit or reject: what it turns
    signal: str  #: what it looks at
    origin: str  #: project, file or class, licence


def facts(law: type) -> Facts:
    """The lines `Valve: ... Signal: ...` and `Origin: ...` of a law's docstring; "" where one is missing.

    >>> facts(CONTROLLERS["aimd"])
    Facts(valve='rate', signal='time between two returns', origin='throttle 4 of the article')
    """
    text = re.sub(r"\s+", " ", inspect.getdoc(law) or "")
    found = (re.search(rf"{key}: (.+?)\.(?= |$)", text) for key in ("Valve", "Signal", "Origin"))
    return Facts(*(match[1] if match else "" for match in found))
