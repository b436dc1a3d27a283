"""What code reads beside its arguments: found in its bytecode, without running it."""

from __future__ import annotations

import dis
import functools
import itertools
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from tpssim.core.types import record

_NAMES = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_WRITES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")
_NOTHING = ("CACHE", "EXTENDED_ARG")


@record
class Reads(NamedTuple):
    """What some code reads and writes that outlives a call of it."""

    names: tuple[tuple[str, tuple[str, ...]], ...]  #: of its module or built in, with attributes
    #: module, level, attributes; none: all of it
    imports: tuple[tuple[str, int, tuple[str, ...]], ...]
    writes: tuple[str, ...]  #: variables of its module, or of the function around it


def _attributes(steps: list[dis.Instruction], i: int) -> tuple[str, ...]:
    """Which attributes are taken of what step i loads, of each other in turn."""
    after = itertools.takewhile(lambda step: step.opname in _ATTRIBUTES, steps[i + 1 :])
    return tuple(step.argval for step in after)


def _imported(steps: list[dis.Instruction], i: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What an import within a function reads: names of modules, and attributes of them."""
    module, after = steps[i].argval, steps[i + 1]
    if taken := steps[i - 1].argval:  # from module import taken
        yield from ((module, (part,)) for part in taken)
    elif (
        after.opname == "STORE_FAST"
    ):  # import module: what is used of it stands where its variable is read
        top = module.partition(".")[0]
        for j, step in enumerate(steps):
            if step.opname.startswith("LOAD_FAST"):
                if step.argval == after.argval:
                    yield top, _attributes(steps, j)
                elif isinstance(step.argval, tuple) and after.argval in step.argval:  # two at once
                    yield top, ()
        if top != module:
            yield module, ()
    else:
        yield module, ()


@functools.lru_cache(maxsize=4096)
def reads(code: CodeType) -> Reads:
    """What code reads, the functions inside it included."""
    names: set[tuple[str, tuple[str, ...]]] = set()
    imports: set[tuple[str, int, tuple[str, ...]]] = set()
    writes: set[str] = set()
    steps = [step for step in dis.get_instructions(code) if step.opname not in _NOTHING]
    for i, step in enumerate(steps):
        if step.opname in _NAMES:
            names.add((step.argval, _attributes(steps, i)))
        elif step.opname == "IMPORT_NAME":
            imports |= {(name, steps[i - 2].argval, part) for name, part in _imported(steps, i)}
        elif step.opname in _WRITES and (
            step.opname in _WRITES[:2] or step.argval in code.co_freevars
        ):
            writes.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more = reads(inner)
            names |= {*more.names}
            imports |= {*more.imports}
            # A variable of this code that a function inside it sets is new in each call.
            writes |= {name for name in more.writes if name not in code.co_cellvars}
    return Reads(tuple(sorted(names)), tuple(sorted(imports)), tuple(sorted(writes)))
