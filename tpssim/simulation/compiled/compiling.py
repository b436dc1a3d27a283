"""Functions of numbers, compiled if numba is there and takes them, else as they are."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

from tpssim.core.provenance import ours
from tpssim.core.states import Seen, current, seen

compiles = importlib.util.find_spec("numba") is not None
#: Laws of the user's, each in one state, of which compiled code or a refusal is remembered.
MOST = 64


@functools.cache
def fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the package, compiled if numba is there."""
    if not compiles:
        return function
    from tpssim.simulation.compiled import _jit

    return _jit.kept(function)


def fast_for(function: Callable[..., Any], law: type) -> Callable[..., Any]:
    """The same for a function that calls a law, its first argument: a user's, which numba may not
    take.

    A law is compiled once more when it, or a function or constant that it reaches, has changed. One
    that numba refused is tried again when its code has changed, not when a value has: a run itself
    may change it.
    """
    if ours(law) or not compiles:
        return fast(function)  # a law of ours must compile
    found = _refused.get((function, law))
    if found is not None and found.state.same_code():
        return found
    return _tried(function, law, current(law))


def was_compiled(run: Callable[..., Any]) -> bool:
    """Whether what `fast_for` gave ran compiled."""
    return compiles and not (isinstance(run, _Tried) and run.refused)


class _Tried:
    """A function that calls a user's law: compiled, until numba turns out not to take that law."""

    def __init__(self, function: Callable[..., Any], law: type, state: Seen) -> None:
        from tpssim.simulation.compiled import _jit

        self.function, self.law, self.state, self.refused = function, law, state, False
        self.errors = _jit.CompileError
        self.compiled, self.record = _jit.for_law(function, law)

    def __call__(self, record: Any, *args: Any) -> Any:
        if not self.refused:
            try:
                return self.compiled(self.record(*record), *args)
            except self.errors as error:
                reason = str(error).strip().partition("\n")[0]
                what = f"{self.law.__name__} cannot be compiled and runs interpreted"
                warnings.warn(f"{what}: {reason}", stacklevel=2)
                self.refused = True
                if len(_refused) >= MOST:
                    _refused.clear()
                _refused[self.function, self.law] = self
        return self.function(record, *args)


#: Laws that numba did not take, with their code at that time.
_refused: dict[tuple[Callable[..., Any], type], _Tried] = {}


@functools.lru_cache(maxsize=MOST)
def _tried(function: Callable[..., Any], law: type, key: str) -> _Tried:
    return _Tried(function, law, seen(law))
