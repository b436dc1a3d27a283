"""Laws as addresses: the code of each compiled on its own, and called by where it is.

A law's code takes where its numbers are, as float64 in the order of `laws.numbers`, and reads and
writes records of the law's own types there. It has the calling convention of numba's own functions,
so an error in a law reaches the caller of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.core import types as _types
from numba.extending import intrinsic

from tpssim.core.types import Observation
from tpssim.simulation.compiled import kernel, laws
from tpssim.simulation.compiled._passes import lean_overload

# What numba's stubs lack, or do not know the types of.
types: Any = _types
typeof: Any = numba.typeof
carray: Any = getattr(numba, "carray")  # noqa: B009
_if_unlikely: Any = cgutils.if_unlikely
_FLOAT = types.float64
_NUMBERS = types.CPointer(_FLOAT)
_OBSERVATION = typeof(Observation(*[0.0] * len(Observation._fields)))
_ACTUATORS = types.UniTuple(_FLOAT, 3)
#: What the code of an `update` and of an `admit` takes: law, state, memory and its size, and more.
_PLACES = (_NUMBERS, _NUMBERS, _NUMBERS, types.int64)
UPDATE = (*_PLACES, _OBSERVATION)
ADMIT = (*_PLACES, _FLOAT, _FLOAT, _FLOAT)


def _parts(kind: Any) -> list[Any]:
    """The types of a record's fields."""
    return list(kind.types) if hasattr(kind, "types") else [kind.dtype] * kind.count


def _read(context: Any, builder: Any, numbers: Any, kind: Any, at: int) -> tuple[Any, int]:
    """A value of that type from the numbers that begin at `at`; where the next one begins."""
    if isinstance(kind, types.BaseTuple):
        values = []
        for part in _parts(kind):
            value, at = _read(context, builder, numbers, part, at)
            values.append(value)
        return context.make_tuple(builder, kind, values), at
    number = builder.load(builder.gep(numbers, [ir.Constant(ir.IntType(64), at)]))
    return context.cast(builder, number, _FLOAT, kind), at + 1


def _write(context: Any, builder: Any, numbers: Any, kind: Any, value: Any, at: int) -> int:
    """Put a value's numbers where they belong; where the next one begins."""
    if isinstance(kind, types.BaseTuple):
        for i, part in enumerate(_parts(kind)):
            inner = builder.extract_value(value, i)
            at = _write(context, builder, numbers, part, inner, at)
        return at
    number = context.cast(builder, value, kind, _FLOAT)
    builder.store(number, builder.gep(numbers, [ir.Constant(ir.IntType(64), at)]))
    return at + 1


def _reader(kind: Any) -> Any:
    """A function that reads a record of that type."""

    @intrinsic
    def read(typing_context: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _read(context, builder, args[0], kind, 0)[0]

        return kind(numbers), code

    return read


def _make_written(typing_context: Any, numbers: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _write(context, builder, args[0], value, args[1], 0)
        return context.get_dummy_value()

    return types.none(numbers, value), code


_written: Any = intrinsic(_make_written)


def update_of(law: Any, state: Any) -> Callable[..., Any]:
    """The `update` of laws with that type and states with that type, as it is called."""
    read_law, read_state, law_update = _reader(law), _reader(state), kernel.law_update

    def update(law: Any, state: Any, memory: Any, size: int, obs: Observation) -> Any:
        after = read_state(state)
        for _ in range(1):  # so that the types before and after must agree
            after = law_update(read_law(law), after, obs, carray(memory, (size,)))
        _written(state, after)
        return float(after.rate), float(after.limit), float(after.reject)

    return update


def admit_of(law: Any, state: Any) -> Callable[..., Any]:
    """The same of `admit`."""
    read_law, read_state, law_admit = _reader(law), _reader(state), kernel.law_admit

    def admit(
        law: Any, state: Any, memory: Any, size: int, now: float, lag: float, in_flight: float
    ) -> Any:
        after = read_state(state)
        for _ in range(1):
            kept = carray(memory, (size,))
            after = law_admit(read_law(law), after, now, lag, in_flight, kept)
        _written(state, after)
        return float(after.rate), float(after.limit), float(after.reject)

    return admit


def type_of(value: Any) -> Any:
    """numba's type of a record of numbers; raises what numba does for anything else."""
    if not isinstance(value, tuple):
        return typeof(value)
    parts = [type_of(part) for part in value]
    if parts and all(part == parts[0] for part in parts):
        return types.NamedUniTuple(parts[0], len(parts), type(value))
    return types.NamedTuple(parts, type(value))


def address(compiled: Any, signature: tuple[Any, ...]) -> int:
    """Where the code for a signature is; compiled, or read from the disk, if it is not there."""
    compiled.compile(signature)
    code = compiled.overloads[signature]
    found: int = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
    return found


def _caller(signature: tuple[Any, ...]) -> Callable[..., Any]:
    """How the code at an address is called, given places as numbers."""

    def call(context: Any, builder: Any, args: Any) -> Any:
        kind = context.call_conv.get_function_type(_ACTUATORS, signature)
        pointer = context.get_value_type(_NUMBERS)
        places = [builder.inttoptr(place, pointer) for place in args[1:4]]
        code = builder.inttoptr(args[0], kind.as_pointer())
        status, found = context.call_conv.call_function(
            builder, code, _ACTUATORS, signature, [*places, *args[4:]]
        )
        with _if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return found

    return call


_call_update, _call_admit = _caller(UPDATE), _caller(ADMIT)


def _make_step(
    typing_context: Any, update: Any, law: Any, state: Any, memory: Any, size: Any, obs: Any
) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call_update(context, builder, args)

    return _ACTUATORS(update, law, state, memory, size, obs), code


def _make_entry(
    typing_context: Any,
    admit: Any,
    law: Any,
    state: Any,
    memory: Any,
    size: Any,
    now: Any,
    lag: Any,
    in_flight: Any,
) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call_admit(context, builder, args)

    return _ACTUATORS(admit, law, state, memory, size, now, lag, in_flight), code


_step: Any = intrinsic(_make_step)
_entry: Any = intrinsic(_make_entry)


@lean_overload(laws.law_step)
def _law_step(update: Any, law: Any, state: Any, memory: Any, size: Any, obs: Any) -> Any:
    return lambda update, law, state, memory, size, obs: _step(
        update, law, state, memory, size, obs
    )


@lean_overload(laws.law_entry)
def _law_entry(
    admit: Any, law: Any, state: Any, memory: Any, size: Any, now: Any, lag: Any, in_flight: Any
) -> Any:
    return lambda admit, law, state, memory, size, now, lag, in_flight: _entry(
        admit, law, state, memory, size, now, lag, in_flight
    )
