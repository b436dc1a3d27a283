"""Which of numba's passes the functions of this package take, for each costs time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba.core import compiler, typed_passes, untyped_passes
from numba.extending import overload

_overload: Any = overload  # whose stubs lack this option
_Makes = TypeVar("_Makes", bound=Callable[..., Any])
_Compiler: Any = compiler.CompilerBase
_Passes: Any = compiler.DefaultPassBuilder
#: For what no function of this package holds: closures, comprehensions and `with`, expressions of
#: whole arrays, functions that are to be inlined by numba.
WITHOUT = (
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.InlineInlinables,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
    typed_passes.InlineOverloads,
    typed_passes.NopythonRewrites,
    typed_passes.DumpParforDiagnostics,
)


class Lean(_Compiler):  # type: ignore[misc]  # whose class is not in the stubs
    """Compiles without those passes."""

    def define_pipelines(self) -> list[Any]:
        """Of numba, the one for functions that take no Python objects."""
        passes = _Passes.define_nopython_pipeline(self.state)
        passes.passes = [each for each in passes.passes if each[0] not in WITHOUT]
        passes.finalize()
        return [passes]


def lean_overload(function: Callable[..., Any]) -> Callable[[_Makes], _Makes]:
    """As numba's `overload`, for code of this package."""
    found: Callable[[_Makes], _Makes] = _overload(
        function, strict=False, jit_options={"pipeline_class": Lean}
    )
    return found
