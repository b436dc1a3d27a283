"""The kinds of services that once broke `headroom`, and what a checkout's `headroom` makes of them.

Run as a program in a process whose `tpssim` is that of the checkout:

    python benchmarks/_kinds.py FILE KIND ...

writes when the calls of each service that succeeded began and ended (NumPy, FILE). Only what trees
of before 0.1.0 have too is used for the plain quota, which is older than services at random.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from before_after import kind as part

import tpssim

SEED, NOISE = 22, 5000  #: of the services and of the runs: none that a law was tuned on
DRAWN = 8  #: services of a family
LAW = "headroom"
PLAIN = "plain-quota"
#: Families of services at random, and a quota such as that of nginx's limit_req.
KINDS = {
    "bimodal": "bimodal costs",
    "tight-timeout": "tight timeouts",
    "correlated": "correlated times",
    "far": "a far network",
    "retrograde": "falling speed",
    "quota-silent": "a silent quota",
    "quota-retry-after": "a quota with 429",
    "outage": "a long outage",
    PLAIN: "a plain quota",
}


def services(kind: str) -> list[Any]:
    """The first services of a family; of the plain quota the only one: 100 calls a second, calls of
    1 ms, 300 wanted.
    """
    if kind == PLAIN:
        overlapping = part("Async")(0.0, "completion")
        plain = tpssim.Scenario(f"{PLAIN}-0", part("Constant")(0.001), 300.0, 60.0, overlapping)
        return [plain._replace(backend=part("Backend")(rate=100.0))]
    from tpssim.experiments.random_services import random_scenario

    return [random_scenario(kind, number, SEED) for number in range(DRAWN)]


def succeeded(trace: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """When the calls that succeeded began and ended, s."""
    good = trace.outcome == 0
    return np.stack([trace.released[good], trace.completed[good]])


def main() -> None:
    file, kinds = sys.argv[1], sys.argv[2:]
    found: dict[str, Any] = {"tree": tpssim.__file__}
    for kind in kinds:
        for service in services(kind):
            found[service.name] = succeeded(tpssim.simulate(service, LAW, seed=NOISE))
            found[f"{service.name} is"] = repr(service)
    np.savez(file, **found)


if __name__ == "__main__":
    main()
