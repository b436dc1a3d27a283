"""The only door to numba: what is compiled, and the rules by which compiled code may be kept.

A law's `update` is taken from its record's class when the kernel is compiled for that class. Compiled code is
kept on disk under a name made of the package's own sources, because numba sees when the file of the kernel
changes but not when a law's does; and only for records of this package, because a class of the user's may be
redefined under the same name (in a notebook, say): those are compiled anew, for each class and process.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba.core import config, types
from numba.extending import overload, register_jitable

from tpssim import clock, disturbances, pacing, plant, sensor, signals
from tpssim.compiled import heap, kernel
from tpssim.fingerprint import package
from tpssim.reduction import collecting, commands, concluding, records

_one_at_a_time = threading.Lock()
settings: Any = config  # numba's, which a type checker does not know
KEPT = 3  # caches of earlier versions of the sources

_HELPERS: tuple[Callable[..., Any], ...] = (
    clock.plan_ideal_wait,
    clock.plan_wait,
    clock.reads_until,
    clock.sleep_end,
    disturbances.factor_at,
    disturbances.finish,
    pacing.anchor,
    pacing.next_due,
    plant._power,
    plant.slowdown,
    sensor.collected,
    sensor.opened,
    sensor.ranked,
    sensor.summed_up,
    sensor.window_end,
    pacing.on_grid,
    heap.pop,
    heap.push,
    pacing.ticked,
    kernel.service_time,
    kernel.run,
    signals.cycle,
    signals.is_regular,
    signals.most_in_window,
    signals.quantile,
    signals.settling_time,
    commands.limit_commands,
    commands.command,
    collecting.drift,
    collecting.fill_phase,
    collecting.fill_samples,
    commands.recovery,
    collecting.regain,
    collecting.stretch,
    commands.settling,
    collecting.collect,
    records.one_of,
    concluding.conclude_one,
)
for _helper in _HELPERS:
    register_jitable(_helper)


def _jitable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, callable from compiled code, and so are the functions that it names."""
    if function not in _jitables:
        _jitables.add(function)
        register_jitable(function)
        named = (function.__globals__.get(name) for name in function.__code__.co_names)
        for helper in named:
            if isinstance(helper, FunctionType):
                _jitable(helper)
    return function


_jitables: set[Callable[..., Any]] = set(_HELPERS)


@overload(kernel.law_update, strict=False)
def _update(law: Any, state: Any, obs: Any, memory: Any) -> Any:
    if not isinstance(law, types.BaseNamedTuple):
        return None
    cls: Any = getattr(law, "instance_class")  # noqa: B009
    update = _jitable(cls.update)
    if hasattr(cls, "memory"):
        return lambda law, state, obs, memory: update(law, state, obs, memory)
    return lambda law, state, obs, memory: update(law, state, obs)


@overload(kernel.law_admit, strict=False)
def _admit(law: Any, state: Any, now: Any, lag: Any, in_flight: Any, memory: Any) -> Any:
    if not isinstance(law, types.BaseNamedTuple):
        return None
    cls: Any = getattr(law, "instance_class")  # noqa: B009
    if not hasattr(cls, "admit"):
        return lambda law, state, now, lag, in_flight, memory: state
    admit = _jitable(cls.admit)
    if hasattr(cls, "memory"):
        return lambda law, state, now, lag, in_flight, memory: admit(law, state, now, lag, in_flight, memory)
    return lambda law, state, now, lag, in_flight, memory: admit(law, state, now, lag, in_flight)


def sources() -> str:
    """A name for the package's sources, numba and Python as they are now."""
    return hashlib.sha256(f"{numba.__version__} {sys.version} {package()}".encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code is kept: one folder for each state of the sources, the newest few."""
    base = (
        os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    )
    kept = Path(base) / "tpssim"
    folder = kept / sources()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    others = sorted((p for p in kept.iterdir() if p != folder), key=lambda p: p.stat().st_mtime)
    for old in others[: -KEPT or None]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


@functools.cache
def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled, and kept on disk."""
    compiled: Callable[..., Any]
    with _one_at_a_time:
        before = settings.CACHE_DIR
        try:
            settings.CACHE_DIR = str(cache_folder())
            compiled = numba.njit(cache=True, nogil=True)(function)
        except OSError:
            compiled = numba.njit(nogil=True)(function)  # nowhere to write: compiled anew in each process
        finally:
            settings.CACHE_DIR = before
    return compiled


@functools.lru_cache(maxsize=64)
def for_law(function: Callable[..., Any], law: type) -> Callable[..., Any]:
    """The function compiled for a class of laws: kept if the class is this package's."""
    if law.__module__.startswith("tpssim."):
        return kept(function)
    compiled: Callable[..., Any] = numba.njit(nogil=True)(function)
    return compiled


#: What is raised when a law cannot be compiled.
CompileError = numba.core.errors.NumbaError
