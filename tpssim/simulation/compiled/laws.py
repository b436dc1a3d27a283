"""How the general loop calls a law: by the address of its compiled code, or as it is.

The loop is compiled once for all laws, so it knows of a law only where its code and its numbers
are. `law_step` and `law_entry` are what it calls; compiled, `_addresses` replaces them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tpssim.core.own_laws import answered
from tpssim.core.types import Observation, record

#: What the loop needs to know after each step of a law.
Actuators = tuple[float, float, float]


@record
class Placed(NamedTuple):
    """A law at work: what to call, and with what; addresses or objects."""

    update: Any
    admit: Any  #: 0 or None if it has none
    law: Any
    state: Any
    memory: Any
    memory_size: int
    owned: tuple[Any, ...]  #: what lives at the addresses


def law_step(
    update: Callable[..., Actuators],
    law: Any,
    state: Any,
    memory: Any,
    size: int,
    obs: Observation,
) -> Actuators:
    """The law's `update`: changes `state`, gives the actuators."""
    return update(law, state, memory, size, obs)


def law_entry(
    admit: Callable[..., Actuators],
    law: Any,
    state: Any,
    memory: Any,
    size: int,
    now: float,
    lag: float,
    in_flight: float,
) -> Actuators:
    """The law's `admit`, in the same way."""
    return admit(law, state, memory, size, now, lag, in_flight)


def as_it_is(law: Any, target: float) -> Placed:
    """A law for the interpreted loop: its state is kept in a list of one."""
    remembers = hasattr(law, "memory")
    memory = array("d", [0.0]) * (law.memory() if remembers else 0)
    extra = (memory,) if remembers else ()

    def update(law: Any, state: Any, memory: Any, size: int, obs: Observation) -> Actuators:
        state[0] = answered(law, law.update(state[0], obs, *extra))
        return actuators(state[0])

    def admit(
        law: Any, state: Any, memory: Any, size: int, now: float, lag: float, in_flight: float
    ) -> Actuators:
        state[0] = answered(law, law.admit(state[0], now, lag, in_flight, *extra))
        return actuators(state[0])

    entry = admit if hasattr(law, "admit") else None
    return Placed(update, entry, law, [law.init(target)], memory, len(memory), ())


def by_address(law: Any, state: Any, code: Any) -> Placed:
    """A law for the compiled loop: its numbers in arrays, all by address."""
    memory = np.zeros(law.memory() if hasattr(law, "memory") else 1)
    arrays = (np.array([*numbers(law), 0.0]), np.array(numbers(state)), memory)
    at, state_at, memory_at = (array.ctypes.data for array in arrays)
    size = len(memory)
    return Placed(code.update, code.admit, at, state_at, memory_at, size, (*arrays, code))


def actuators(state: Any) -> Actuators:
    """The first three numbers of every state."""
    return state.rate, state.limit, state.reject


def numbers(value: Any) -> list[float]:
    """All numbers of a record, those of the records in it too.

    >>> numbers((1.0, (2.0, True)))
    [1.0, 2.0, 1.0]
    """
    if isinstance(value, tuple):
        return [number for part in value for number in numbers(part)]
    return [float(value)]
