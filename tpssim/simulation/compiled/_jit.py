"""Sole importer of numba: what is compiled, and the rules by which compiled code may be kept.

A law's `update` is taken from its record's class when the kernel is compiled for that class.
Compiled code is kept on disk (`cache`) only for records of this package, because a class of the
user's may be redefined under the same name (in a notebook, say): those are compiled for each state
of the class and each process.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numba
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.extending import overload, register_jitable

from tpssim.core.provenance import PACKAGE, Opaque
from tpssim.simulation.compiled import kernel
from tpssim.simulation.compiled.cache import Kept, cache_folder

_jitables: set[Callable[..., Any]] = set()


def _jitable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, callable from compiled code, and so are the functions that it names."""
    if function not in _jitables:
        _jitables.add(function)
        inlined = (function.__module__ or "").startswith(_IN_PARTS)
        register_jitable(forceinline=inlined)(function)
        _register_named(function)
    return function


def _register_named(function: Callable[..., Any]) -> None:
    """What compiled code of a function calls: the functions that it names, by themselves or in a
    module.
    """
    names = function.__code__.co_names
    spaces = [function.__globals__]
    spaces += [
        vars(found) for name in names if _is_package_module(found := function.__globals__.get(name))
    ]
    for space in spaces:
        for helper in (space.get(name) for name in names):
            if isinstance(helper, FunctionType) and helper not in _OVERLOADED:
                _jitable(helper)


#: Modules whose functions are cut into parts for people to read: a part costs no call.
_IN_PARTS = (kernel.__name__, f"{PACKAGE}.controllers.")
#: What compiled code finds by an `overload`.
_OVERLOADED: set[Callable[..., Any]] = {kernel.law_update, kernel.law_admit}


def _is_package_module(found: Any) -> bool:
    return isinstance(found, ModuleType) and found.__name__.partition(".")[0] == PACKAGE


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
        return lambda law, state, now, lag, in_flight, memory: admit(
            law, state, now, lag, in_flight, memory
        )
    return lambda law, state, now, lag, in_flight, memory: admit(law, state, now, lag, in_flight)


@functools.cache
def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled, and kept on disk, where that can be and the sources are still those
    that run.
    """
    _register_named(function)
    compiled: Any = numba.njit(nogil=True)(function)
    with contextlib.suppress(OSError, Opaque):
        folder = cache_folder()
        if isinstance(compiled, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
            setattr(compiled, "_cache", Kept(function, folder))  # noqa: B010  # not in its stubs
    found: Callable[..., Any] = compiled
    return found


def for_law(
    function: Callable[..., Any], law: type
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function compiled for a user's law as it is now, and the class whose records it then
    takes.

    numba compiles a function, and reads its constants, once for good. So it is given copies: of the
    law's methods, of the functions of the user's that they call, and of the class that they belong
    to.
    """
    copies: dict[FunctionType, FunctionType] = {}
    methods = [getattr(law, name, None) for name in ("update", "admit")]
    own = {f.__name__: _copied(f, copies) for f in methods if isinstance(f, FunctionType)}
    _register_named(function)
    return numba.njit(nogil=True)(function), type(law.__name__, (law,), {"__slots__": (), **own})


def _copied(function: FunctionType, copies: dict[FunctionType, FunctionType]) -> FunctionType:
    """A function that calls copies of the functions that it names; those of this package stay as
    they are.
    """
    if function in copies or (function.__module__ or "").startswith(f"{PACKAGE}."):
        return copies.get(function, function)
    space = dict(function.__globals__)
    copy = FunctionType(
        function.__code__, space, function.__name__, function.__defaults__, function.__closure__
    )
    copies[function] = copy
    for name in function.__code__.co_names:
        if isinstance(helper := space.get(name), FunctionType):
            space[name] = _copied(helper, copies)
    return copy


#: What is raised when a law cannot be compiled.
CompileError = (numba.core.errors.NumbaError, numba.core.errors.UnsupportedBytecodeError)
