"""Which of numba's passes the functions of this package take, for each costs time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba.core import compiler
from numba.extending import overload

_overload: Any = overload  # whose stubs lack this option
_Makes = TypeVar("_Makes", bound=Callable[..., Any])
_Compiler: Any = compiler.CompilerBase
_Passes: Any = compiler.DefaultPassBuilder
#: Passes for what no function of this package holds: closures, comprehensions and `with`,
#: expressions of whole arrays, functions that numba is to inline.
WITHOUT = """
    WithLifting InlineClosureLikes MakeFunctionToJitFunction InlineInlinables LiteralUnroll
    LiteralPropagationSubPipelinePass InlineOverloads NopythonRewrites DumpParforDiagnostics
    """.split()  # noqa: SIM905


class Lean(_Compiler):  # type: ignore[misc]  # whose class is not in the stubs
    """Compiles without those passes."""

    def define_pipelines(self) -> list[Any]:
        """Of numba, the one for functions that take no Python objects."""
        passes = _Passes.define_nopython_pipeline(self.state)
        passes.passes = [each for each in passes.passes if each[0].__name__ not in WITHOUT]
        passes.finalize()
        return [passes]


def lean_overload(function: Callable[..., Any]) -> Callable[[_Makes], _Makes]:
    """As numba's `overload`, for code of this package."""
    found: Callable[[_Makes], _Makes] = _overload(
        function, strict=False, jit_options={"pipeline_class": Lean}
    )
    return found
