"""The laws, each written once: a record of parameters with pure `init` and `update`.

To add one: its file in this folder, one line here, one test file. Nothing else needs to know.
"""

from typing import Any

from tpssim.controllers.aimd import Aimd
from tpssim.controllers.ewma_deadzone import EwmaDeadzone
from tpssim.controllers.fixed import Fixed
from tpssim.controllers.headroom import Headroom

CONTROLLERS: dict[str, Any] = {
    "fixed": Fixed,
    "aimd": Aimd,
    "ewma-deadzone": EwmaDeadzone,
    "headroom": Headroom,
}
