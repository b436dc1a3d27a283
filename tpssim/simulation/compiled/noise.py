"""The noise of a compiled run: draws by stream, producer and attempt, kept for the next law that
asks.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.timer_models import TimerModel, late_wakeups
from tpssim.core.types import record
from tpssim.scenarios import service_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KEPT = 65_536  # draws; more of them are drawn faster than new memory is found to keep them in


@record
class Which(NamedTuple):
    """Which draws of a stream."""

    n: int
    seed: int
    replication: int
    producer: int = 0
    attempt: int = 0


@record
class Wanted(NamedTuple):
    """Which service times: a key, in which plain named tuples of a user's differ by their class
    too.
    """

    service: Any
    own: tuple[str, ...]  #: what of the user's own code decides them, as it is now
    which: Which


def _make_times(wanted: Wanted) -> Array:
    service, which = wanted.service, wanted.which
    if isinstance(service, service_times.Constant):  # whatever is drawn
        return np.full(which.n, service.mean)
    return service_times.times_of(service, drawn(service.noise(), which))


_draw_once = functools.lru_cache(maxsize=64)(service_times.draws)
_make_times_once = functools.lru_cache(maxsize=64)(_make_times)


def drawn(stream: str, which: Which) -> Array:
    """Draws that other laws and points will ask for too."""
    return (_draw_once if which.n <= KEPT else service_times.draws)(stream, *which)


def times(service: Any, own: tuple[str, ...], which: Which) -> Array:
    """Service times, s."""
    make = _make_times_once if which.n <= KEPT else _make_times
    return make(Wanted(service, own, which))


def fill(out: Array, stream: str, which: Which) -> None:
    """The same as `drawn`, put there."""
    if which.n <= KEPT:
        out[:] = drawn(stream, which)
    else:
        service_times.draws(stream, *which, out=out)


def fill_times(out: Array, service: Any, own: tuple[str, ...], which: Which) -> None:
    """The same as `times`, put there."""
    if which.n <= KEPT or isinstance(service, service_times.Constant):
        out[:] = times(service, own, which)
    else:
        fill(out, service.noise(), which)
        out[:] = service_times.times_of(service, out)


def delays(network: Any, which: Which) -> Array:
    """How long each answer takes on its way, s."""
    noise = service_times.draws(f"network.{network.noise()}", *which)
    return service_times.times_of(network, noise)


def lateness(timer: TimerModel, which: Which) -> Array:
    """How late each sleep ends, s."""
    if timer.median == 0.0 and timer.spike == 0.0:
        return np.zeros(which.n)
    normal, uniform = (drawn(stream, which) for stream in ("timer.normal", "timer.uniform"))
    return np.asarray(late_wakeups(timer, normal, uniform), dtype=np.float64)
