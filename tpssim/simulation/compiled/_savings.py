"""What numba does for nothing here, left out: it imports and compiles in less time, to the same
code.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

from llvmlite.binding import ffi  # type: ignore[import-untyped]
from numba.core import codegen as _codegen
from numba.core import environment, event, ir, postproc, targetconfig, transforms, types
from numba.core.registry import cpu_target
from numba.core.typing import npydecl
from numba.np import linalg as _linalg

from tpssim.core.provenance import PACKAGE

# What numba's stubs lack.
_ir: Any = ir
_Options: Any = targetconfig.TargetConfig
_lock: Any = getattr(ffi.lib, "_lock", None)
_Library: Any = _codegen.JITCodeLibrary
_register: Any = event.register
_known_environment: Any = environment.lookup_environment
_algebra: Any = _linalg
_Arrays: Any = types.ArrayCompatible
_Processor: Any = postproc.PostProcessor
_Lifetime: Any = postproc.VariableLifetime
_Operator: Any = npydecl.NumpyRulesArrayOperator
_canonical: Any = transforms.canonicalize_cfg
_process, _operation = _Processor.run, _Operator.generic
_HAS_BUILDERS = hasattr(_codegen, "create_pass_builder")  # not before numba 0.62
#: How the names of variables begin in which compiled code finds its environment.
_ENVIRONMENT = "_ZN08NumbaEnv"


class _Compiling(event.Listener):
    """Which functions are being compiled, each for the one before it. No garbage is collected
    meanwhile, nor right after: a seventh of the time, for nothing.
    """

    def __init__(self) -> None:
        self.modules: list[str] = []
        self.collects = False

    def on_start(self, found: Any) -> None:
        _import_arrays()
        self.modules.append(found.data["dispatcher"].py_func.__module__ or "")
        if len(self.modules) == 1:
            self.collects = gc.isenabled()
            gc.disable()

    def on_end(self, found: Any) -> None:
        self.modules.pop()
        if not self.modules and self.collects:
            if gc.get_freeze_count() == 0:
                # What is left is old from now on: it goes when all is looked through, not at once.
                gc.freeze()
                gc.unfreeze()
            gc.enable()

    def within(self, *packages: str) -> bool:
        """Whether what is compiled now, and all that it is compiled for, is of these packages."""
        beginnings = tuple(f"{package}." for package in packages)
        return bool(self.modules) and all(each.startswith(beginnings) for each in self.modules)


_compiling = _Compiling()


class _Nowhere:
    """For the code of a part, which is nowhere but in what it is a part of."""

    def set_env(self, name: str, env: Any) -> None:
        """Nothing to set."""


class _Parts(_Library):  # type: ignore[misc]  # whose class is not in the stubs
    """Code of a function. That of a part is made machine code only where it stands, in what calls
    it; numba does so for each part, too, which nobody calls from outside.

    The measures, which run once a run, are optimised only as a whole, and less, which makes them no
    slower. The loops would be a sixth slower.
    """

    _is_part = _is_measure = False

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self._is_part = len(_compiling.modules) > 1 and _compiling.within(PACKAGE, "numba")
        self._is_measure = _compiling.within(f"{PACKAGE}.metrics", "numba")

    @property
    def codegen(self) -> Any:
        return _Nowhere() if self._is_part else self._codegen

    def get_pointer_to_function(self, name: str) -> int:
        """0 of a part."""
        if not self._is_part:
            address: int = super().get_pointer_to_function(name)
            return address
        self._ensure_finalized()
        return 0

    def _optimize_functions(self, module: Any) -> None:
        """Before all of the module is, which does the same once more."""
        if self._is_part and self._is_measure:
            super()._optimize_functions(module)
        else:
            module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        if self._is_part and self._is_measure:
            return
        if self._is_measure and _HAS_BUILDERS:
            passes, builder = self._codegen._module_pass_manager(opt=1, loop_vectorize=False)
            passes.run(self._final_module, builder)
        else:
            super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        if self._is_part:
            self._finalize_dynamic_globals()
            self._finalized = True
            return
        super()._finalize_final_module()
        # Its parts have their environments here, as in code that is read from the disk.
        for variable in self._final_module.global_variables:
            known = variable.name.startswith(_ENVIRONMENT) and _known_environment(variable.name)
            if known:
                self._codegen.set_env(variable.name, known)


@functools.cache
def _import_arrays() -> None:
    """Import what numba has for arrays without scipy's linear algebra, which takes a quarter of a
    second, and which it looks for then and imports when a function asks for it.
    """
    look_for = _algebra.ensure_blas
    _algebra.ensure_blas = lambda: None
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        _algebra.ensure_blas = look_for


def _listed(_: Any, value: Any) -> list[Any]:
    """The variables in a part of an instruction: as numba lists them, without a list a level."""
    found: list[Any] = []
    _list(value, found)
    return found


def _list(value: Any, found: list[Any]) -> None:
    kind = type(value)
    if kind is _ir.Var:
        found.append(value)
    elif kind is dict:
        for part in value.values():
            if type(part) not in _WITHOUT:
                _list(part, found)
    elif kind is list or kind is tuple:
        for part in value:
            _list(part, found)
    elif kind not in _WITHOUT and isinstance(value, _ir.Inst):
        found += value.list_vars()


#: Classes of what holds no variables, most of the parts.
_WITHOUT = frozenset((str, int, float, bool, type(None), _ir.Loc))


def _same_options(one: Any, other: Any) -> Any:
    """Whether two sets of options are equal: only those that are set in one can differ."""
    if type(one) is not type(other):
        return one.values() == other.values() if isinstance(other, _Options) else NotImplemented
    chosen = one._values.keys() | other._values.keys()
    return all(getattr(one, name) == getattr(other, name) for name in chosen)


def _hash_of_options(options: Any) -> int:
    """What numba's own comes to: it takes the names of the options, not what they are set to."""
    kind = type(options)
    if kind not in _hashes:
        _hashes[kind] = hash(tuple(sorted(kind.options)))
    return _hashes[kind]


_hashes: dict[Any, int] = {}


def _processed(processor: Any, emit_dels: bool = False, **options: Any) -> None:
    """What numba does between two passes, but for which variables live where a block begins: that
    is found when it is asked for, which no function of ours does before the last time.
    """
    found = processor.func_ir
    if emit_dels or found.is_generator or not _compiling.within(PACKAGE, "numba"):
        _process(processor, emit_dels, **options)
        return
    found.blocks = _canonical(found.blocks)
    found.variable_lifetime, found.generator_info = _Lifetime(found.blocks), None


def _of_arrays(template: Any, args: Any, kws: Any) -> Any:
    """The type of an operation on arrays; NumPy's operations are looked through for numbers too,
    and then nothing is made of what is found.
    """
    kinds = [getattr(kind, "type", kind) for kind in args]
    if not any(isinstance(kind, _Arrays) for kind in kinds):
        return None
    return _operation(template, args, kws)


def _leave_out_of_compiling() -> None:
    """A fifth of the time is lists of variables, which of them live, hashes of options, operations
    on arrays where there are none, and telling that LLVM's lock is taken, which only times it.
    """
    _Processor.run, _Operator.generic = _processed, _of_arrays
    _ir.Inst._rec_list_vars = _listed
    _Options.__eq__, _Options.__hash__ = _same_options, _hash_of_options
    callbacks = _lock._cblist
    callbacks[:] = [pair for pair in callbacks if pair[0].__module__ != "numba.core.base"]


#: What of numba's own is changed here, none of which it promises to keep.
_PRIVATE = ("_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals")


def install() -> None:
    """Leave it out from now on; all of it, or in a numba that has changed inside nothing."""
    target: Any = cpu_target
    codegen = target.target_context.codegen()
    there = all(hasattr(_Library, name) for name in _PRIVATE)
    if not (there and hasattr(codegen, "_library_class") and hasattr(_algebra, "ensure_blas")):
        return
    _register("numba:compile", _compiling)
    codegen._library_class = _Parts
    if hasattr(_ir.Inst, "_rec_list_vars") and hasattr(_Options, "values") and _lock is not None:
        _leave_out_of_compiling()
