"""The built-in sweeps, `STUDIES`: questions that were asked often enough to have a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tpssim.core.types import record


@record
class Named(NamedTuple):
    """A sweep with a name: what `python -m tpssim sweep NAME` runs."""

    scenario: str
    controller: str
    grid: Sequence[str]  #: as typed behind `--grid`
    heatmaps: Sequence[str]
    plots: Sequence[str]
    replications: int
    summary: str


STUDIES: Mapping[str, Named] = {
    "alpha-deadzone": Named(
        "blocking-steady",
        "ewma-deadzone",
        ("alpha=0.02:0.6:30", "deadzone=1:2:26"),
        ("verdict", "achieved", "swing"),
        (),
        10,
        "which ALPHA and DEADZONE of throttle 5 converge on a noisy service, with the noise rule"
        " drawn over",
    ),
    "spin-threshold": Named(
        "fast-async:duration=10",
        "fixed",
        (
            "spin_threshold=0,0.00005,0.0001,0.0002,0.0003,0.0005,0.0007,0.001,0.0015,0.002",
            "timer=linux,linux-slack1,macos,windows-hr,windows-1ms,asyncio-epoll",
        ),
        (),
        ("lateness_p99:spin_cpu", "lateness_p99", "spin_cpu"),
        5,
        "what a spin threshold buys in lateness and costs in CPU, for several timers",
    ),
}
