"""What numba is kept from doing for nothing: the code is the same, and what is left out is not
missed.
"""

from __future__ import annotations

import operator
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")
import numba
from numba.core import compiler as _compiler
from numba.core import ir as _ir
from numba.core import types
from numba.core.registry import cpu_target

from tpssim.metrics import timeseries
from tpssim.simulation.compiled import _jit, _savings
from tpssim.simulation.compiled._passes import Lean
from tpssim.simulation.compiled.heap import LINE, Events, pop, push

# What numba's stubs lack.
njit: Any = getattr(numba, "njit")  # noqa: B009
ir: Any = _ir
Flags: Any = _compiler.Flags


@pytest.fixture
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    _jit.kept.cache_clear()
    yield
    _jit.kept.cache_clear()


@pytest.mark.usefixtures("nothing_known")
def test_a_part_becomes_machine_code_only_in_what_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pop` calls `comes_before`, of which numba makes machine code, too."""
    made: list[str] = []
    finalize = _savings._Parts._finalize_specific

    def counted(library: Any) -> None:
        made.append(library.name)
        finalize(library)

    monkeypatch.setattr(_savings._Parts, "_finalize_specific", counted)
    events = Events(np.zeros(LINE + 8), np.zeros(LINE + 8, np.int64), np.zeros(LINE + 8, np.int64))
    size = 0
    for time in (3.0, 1.0, 2.0):
        size = push(events, size, time, 0, 0)
    size = _jit.kept(pop, counted=False)(events, size)
    assert (size, events.at[LINE]) == (2, 2.0)
    names = [name.split(".")[-1] for name in made]
    assert "pop" in names
    assert "comes_before" not in names


def test_linear_algebra_is_imported_when_something_asks_for_it() -> None:
    code = """
import sys
from tpssim.simulation.compiled import _jit
import numba
import numpy as np
numba.njit(lambda x: x + 1.0)(1.0)
print("scipy.linalg" in sys.modules)
print(numba.njit(lambda a: np.dot(a, a))(np.eye(2)).tolist())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.split("\n")[:2] == ["False", "[[1.0, 0.0], [0.0, 1.0]]"]


def test_variables_of_an_instruction_are_listed_as_numba_does() -> None:
    where = ir.Loc("here", 1)
    scope = ir.Scope(None, where)
    a, b, c = (ir.Var(scope, name, where) for name in "abc")
    call = ir.Expr.call(a, (b, c), {"by": a}, where)
    kept = [
        ir.Assign(call, b, where),
        ir.Return(c, where),
        ir.Jump(3, where),
        ir.Print([a, b], None, where),
    ]
    assert [[found.name for found in one.list_vars()] for one in kept] == [
        ["a", "b", "c", "a", "b"],
        ["c"],
        [],
        ["a", "b"],
    ]


def test_options_are_equal_when_all_their_values_are() -> None:
    one, same, other = Flags(), Flags(), Flags()
    same.nrt, other.nrt = Flags.options["nrt"].default, True
    assert one == same
    assert one != other
    assert hash(one) == hash(same)
    assert {one: 1}[same] == 1
    assert one != 1


def code_of(function: Any, **options: Any) -> str:
    """What LLVM made of a function of numbers, without the numbers that each compiling counts."""
    compiled = njit(_nrt=False, **options)(function)
    values = types.Array(types.float64, 1, "C")
    compiled.compile((values, types.int64, types.float64))
    (text,) = compiled.inspect_llvm().values()
    return re.sub(r"B\d+v\d+|picklebuf\.\d+", "", text)


def test_passes_that_are_left_out_change_no_code() -> None:
    assert code_of(timeseries.quantile, pipeline_class=Lean) == code_of(timeseries.quantile)


def test_operations_on_numbers_are_no_operations_of_numpy() -> None:
    (kind,) = {
        kind
        for kind in _savings._Operator.__subclasses__()
        if kind.__dict__.get("key") is operator.add
    }
    add = kind(cpu_target.typing_context)
    array = types.Array(types.float64, 1, "C")
    assert add.generic((types.float64, types.int64), {}) is None
    assert add.generic((array, types.int64), {}).return_type == array
