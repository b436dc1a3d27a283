"""Sole importer of numba: what is compiled, and the rules by which compiled code may be kept.

A law's `update` is taken from its record's class when the kernel is compiled for that class.
Compiled code is kept on disk (`cache`) only for records of this package, because a class of the
user's may be redefined under the same name (in a notebook, say): those are compiled for each state
of the class and each process.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
from numba.core import event, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.extending import register_jitable

from tpssim.core.own_laws import within
from tpssim.core.provenance import PACKAGE, Opaque, ours
from tpssim.core.types import record
from tpssim.simulation.compiled import (
    _addresses,
    _savings,
    clients,
    events,
    general,
    kernel,
    laws,
    meters,
    observing,
    pacing,
    serving,
    shortages,
)
from tpssim.simulation.compiled._passes import Lean, lean_overload
from tpssim.simulation.compiled.cache import Kept, cache_folder, settings
from tpssim.simulation.compiled.folder import ENDING

#: How functions of the package are compiled.
_OPTIONS: dict[str, Any] = {"no_cfunc_wrapper": True, "pipeline_class": Lean}
_njit: Any = functools.partial(getattr(numba, "njit"), nogil=True, **_OPTIONS)  # noqa: B009
_jitables: set[Callable[..., Any]] = set()


def _jitable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, callable from compiled code, and so are the functions that it names."""
    if function not in _jitables:
        _jitables.add(function)
        module = function.__module__ or ""
        options = _OPTIONS if module.startswith(f"{PACKAGE}.") else {"no_cfunc_wrapper": True}
        register_jitable(forceinline=module.startswith(_IN_PARTS), **options)(function)
        _register_named(function)
    return function


def _register_named(function: Callable[..., Any]) -> None:
    """What compiled code of a function calls: the functions that it names, by themselves, in a
    module, or in the function around it.
    """
    names = function.__code__.co_names
    spaces = [function.__globals__]
    spaces += [
        vars(module)
        for name in names
        if _is_package_module(module := function.__globals__.get(name))
    ]
    found = [space.get(name) for space in spaces for name in names]
    found += [cell.cell_contents for cell in function.__closure__ or ()]
    for helper in found:
        if isinstance(helper, FunctionType) and helper not in _OVERLOADED:
            _jitable(helper)


#: Modules whose functions are cut into parts for people to read: a part costs no call.
_PARTS = (kernel, clients, events, general, meters, observing, pacing, serving, shortages)
_IN_PARTS = (*(module.__name__ for module in _PARTS), f"{PACKAGE}.controllers.")
#: What compiled code finds by an `overload`.
_OVERLOADED: set[Callable[..., Any]] = {
    kernel.law_update,
    kernel.law_admit,
    laws.law_step,
    laws.law_entry,
}


def _is_package_module(found: Any) -> bool:
    return isinstance(found, ModuleType) and found.__name__.partition(".")[0] == PACKAGE


@lean_overload(kernel.law_update)
def _update(law: Any, state: Any, obs: Any, memory: Any) -> Any:
    if not isinstance(law, types.BaseNamedTuple):
        return None
    cls: Any = getattr(law, "instance_class")  # noqa: B009
    update = _jitable(cls.update)
    if ours(cls):
        if hasattr(cls, "memory"):
            return lambda law, state, obs, memory: update(law, state, obs, memory)
        return lambda law, state, obs, memory: update(law, state, obs)
    allowed = _jitable(within)  # of the user's laws alone, so that it costs ours nothing
    if hasattr(cls, "memory"):
        return lambda law, state, obs, memory: allowed(update(law, state, obs, memory))
    return lambda law, state, obs, memory: allowed(update(law, state, obs))


@lean_overload(kernel.law_admit)
def _admit(law: Any, state: Any, now: Any, lag: Any, in_flight: Any, memory: Any) -> Any:
    if not isinstance(law, types.BaseNamedTuple):
        return None
    cls: Any = getattr(law, "instance_class")  # noqa: B009
    if not hasattr(cls, "admit"):
        return lambda law, state, now, lag, in_flight, memory: state
    admit = _jitable(cls.admit)
    allowed = _jitable(within)
    if ours(cls):
        if hasattr(cls, "memory"):
            return lambda law, state, now, lag, in_flight, memory: admit(
                law, state, now, lag, in_flight, memory
            )
        return lambda law, state, now, lag, in_flight, memory: admit(
            law, state, now, lag, in_flight
        )
    if hasattr(cls, "memory"):
        return lambda law, state, now, lag, in_flight, memory: allowed(
            admit(law, state, now, lag, in_flight, memory)
        )
    return lambda law, state, now, lag, in_flight, memory: allowed(
        admit(law, state, now, lag, in_flight)
    )


@functools.cache
def kept(function: Callable[..., Any], counted: bool = True) -> Callable[..., Any]:
    """The function compiled, and kept on disk, where that can be and the sources are still those
    that run.

    Not `counted`: without numba's counts of arrays, for what makes none.
    """
    _register_named(function)
    options = {} if counted else {"_nrt": False}
    compiled: Any = _njit(**options)(function)
    found: Callable[..., Any] = _keep(compiled, f"{function.__module__}.{function.__qualname__}")
    return found


def _keep(compiled: Any, name: str, of: str = "") -> Any:
    """A dispatcher that keeps what it compiles on disk."""
    with contextlib.suppress(OSError, Opaque):
        folder = cache_folder()
        if isinstance(compiled, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
            setattr(compiled, "_cache", Kept(name, folder, of))  # noqa: B010  # not in its stubs
    return compiled


def kept_names() -> set[str]:
    """Of which functions there is compiled code of these sources on disk, for some signature."""
    with contextlib.suppress(OSError, Opaque):
        return {path.name.rpartition("-")[0] for path in cache_folder().glob(f"*{ENDING}")}
    return set()


def enabled() -> bool:
    """Whether numba compiles: it can be switched off (NUMBA_DISABLE_JIT)."""
    return not settings.DISABLE_JIT


@record
class Code(NamedTuple):
    """Where the code of a law is, 0 for none, and what it belongs to."""

    update: int
    admit: int
    owned: tuple[Any, ...]


def code_of(law: Any, state: Any) -> Code:
    """The code of a law for records of these types (the law's may be a user's); raises
    `CompileError`.
    """
    kinds = _addresses.type_of(law), _addresses.type_of(state)
    cls: Any = type(law)
    return _code_of(cls, *kinds)


@functools.lru_cache(maxsize=256)
def _code_of(law: Any, record: Any, state: Any) -> Code:
    parts: list[Any] = [(_addresses.update_of, _addresses.UPDATE)]
    if hasattr(law, "admit"):
        parts.append((_addresses.admit_of, _addresses.ADMIT))
    found: list[int] = []
    owned = []
    for make, signature in parts:
        function = make(record, state)
        compiled = _njit(no_cpython_wrapper=True)(function)
        if ours(law):
            name = f"{law.__module__}.{law.__qualname__}.{function.__name__}"
            compiled = _keep(compiled, name, f"{record} {state}")
        found.append(_addresses.address(compiled, signature))
        owned.append(compiled)
    return Code(found[0], found[1] if len(found) > 1 else 0, tuple(owned))


def as_it_is_now(law: type) -> type:
    """A user's law with copies of its methods, and of the functions of the user's that they call.

    numba compiles a function, and reads its constants, once for good.
    """
    copies: dict[FunctionType, FunctionType] = {}
    methods = [getattr(law, name, None) for name in ("update", "admit")]
    own = {f.__name__: _copied(f, copies) for f in methods if isinstance(f, FunctionType)}
    # Its module is the user's too: code of this package would be kept on disk.
    return type(law.__name__, (law,), {"__slots__": (), "__module__": law.__module__, **own})


def loop_of(function: Callable[..., Any], own: bool) -> Any:
    """The function to be compiled for a law; for one of the user's in this process alone."""
    if not own:
        return kept(function, counted=False)
    _register_named(function)
    return _njit(_nrt=False)(function)


def signature(*arguments: Any) -> tuple[Any, ...]:
    """The types of some arguments."""
    return tuple(_addresses.typeof(argument) for argument in arguments)


def is_there(compiled: Any, types: tuple[Any, ...]) -> bool:
    """Whether a function is compiled for these types, or can be read from the disk."""
    if types in compiled.overloads:
        return True
    store = getattr(compiled, "_cache", None)
    return isinstance(store, Kept) and store.has(types, compiled.targetctx.codegen())


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


class _Ending(event.Listener):
    """Ends a thread at the next pass of what it compiles. An error thrown into it from outside
    might come in a callback of LLVM, which loses the error and what it was called for.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread

    def on_start(self, found: Any) -> None:
        if threading.current_thread() is self.thread:
            raise SystemExit  # which ends a thread without a word

    def on_end(self, found: Any) -> None:
        pass


_register: Any = event.register
_savings.install()


@contextlib.contextmanager
def filters_left_alone() -> Iterator[None]:
    """Within it what is compiled leaves the warning filters of the process alone.

    numba exchanges `warnings.filters` while it looks at a function, and puts the old ones back.
    In a thread that undoes what the program, or an import, has set meanwhile (before Python 3.14).
    No two functions are compiled at a time, so nobody else misses what is out of force here.
    """
    fixer: Any = getattr(numba.core.errors, "WarningsFixer")  # noqa: B009  # not in its stubs
    with global_compiler_lock:
        catching = fixer.catch_warnings
        fixer.catch_warnings = lambda *_, **__: contextlib.nullcontext()
        try:
            yield
        finally:
            fixer.catch_warnings = catching


def give_up(thread: threading.Thread) -> None:
    """Have a thread compile no further, and wait for its end."""
    _register("numba:run_pass", _Ending(thread))
    thread.join()


#: What is raised when a law cannot be compiled.
CompileError = (numba.core.errors.NumbaError, numba.core.errors.UnsupportedBytecodeError)
