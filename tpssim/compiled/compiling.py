"""Functions of numbers, compiled if numba is there and takes them, else as they are."""

from __future__ import annotations

import functools
import importlib.util
import warnings
import weakref
from collections.abc import Callable
from typing import Any

compiles = importlib.util.find_spec("numba") is not None

#: Laws that numba did not take.
_interpreted: weakref.WeakSet[type] = weakref.WeakSet()


def takes(law: type) -> bool:
    """Whether runs of this class of laws are compiled, as far as is known."""
    return compiles and law not in _interpreted


@functools.cache
def fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the package, compiled if numba is there."""
    if not compiles:
        return function
    from tpssim.compiled import _jit

    return _jit.kept(function)


@functools.lru_cache(maxsize=256)
def fast_for(function: Callable[..., Any], law: type) -> Callable[..., Any]:
    """The same for a function that calls a law, which a user may have written: numba may not take it."""
    if not compiles:
        return function
    from tpssim.compiled import _jit

    compiled = _jit.for_law(function, law)

    def call(*args: Any) -> Any:
        if law in _interpreted:
            return function(*args)
        try:
            return compiled(*args)
        except _jit.CompileError as error:
            if law.__module__.startswith("tpssim."):
                raise  # a law of ours must compile
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"{law.__name__} cannot be compiled and runs interpreted: {reason}", stacklevel=2)
            _interpreted.add(law)
            return function(*args)

    return call
