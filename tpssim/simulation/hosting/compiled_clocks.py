"""Clocks that compiled code reads by itself: nothing can take their place, so who names one is
refused.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.provenance import PACKAGE, origin
from tpssim.core.reads import reads

#: numpy parses these words, in any case, with the C library's clock.
_NUMPY_WORDS = {"now", "today"}
#: How the names of its types begin that make it parse a word so.
_NUMPY_DATES = ("datetime64", "M8", "<M8", ">M8", "=M8")
#: Modules that are, or may call, code in another language that reads a clock or waits.
_FOREIGN = {"cffi", "ctypes", "sqlite3", "whenever"}


def refuse_unseen(function: Callable[..., Any]) -> None:
    """Raise `InputError` if the code, or what it reaches of the user's modules, names such a
    clock.
    """
    words: list[str] = []
    dates: list[str] = []
    for value, place in _reached(function):
        top = _module(value).partition(".")[0]
        if top.lstrip("_") in _FOREIGN and origin(top):
            raise _unseen(top.lstrip("_"), place)
        if isinstance(value, str):
            words += [value] if value.lower() in _NUMPY_WORDS else []
            dates += [place] if value.startswith(_NUMPY_DATES) else []
        elif value is np.datetime64:
            dates.append(place)
    if words and dates:
        raise _unseen(f"numpy.datetime64({words[0]!r})", dates[0])


def _unseen(clock: str, place: str) -> InputError:
    return InputError(
        f"the hosted code may read the clock by {clock} ({place}), "
        "which has no virtual twin; allowed: time, datetime, threading, queue and asyncio timers"
    )


def _module(value: Any) -> str:
    """The module that a module is, or that a class, a function or the class of another value is
    from.
    """
    if isinstance(value, ModuleType):
        return value.__name__
    named = isinstance(value, type | FunctionType | BuiltinFunctionType)
    return str((value if named else type(value)).__module__)


def _reached(root: Any) -> Iterator[tuple[Any, str]]:
    """Everything that code of the user's reaches, and where the code is that names it.

    Code of Python, of installed distributions and of this package is named, and not looked into;
    but that of `root`'s own module is.
    """
    home = _module(root)
    todo = [(root, "")]
    seen: dict[int, Any] = {}  # keeps what is made here alive, so that no two have one id
    while todo:
        value, place = todo.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        yield value, place
        module = _module(value)
        mine = module == home or not (module.partition(".")[0] == PACKAGE or origin(module))
        if isinstance(value, FunctionType):
            place = f"{value.__code__.co_filename}:{value.__code__.co_firstlineno}"
        todo += [(part, place) for part in (*_content(value), *(_parts(value) if mine else ()))]


def _content(value: Any) -> Iterator[Any]:
    """What a container, or a function that is bound to something, holds."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (part for part in value if not isinstance(part, float | int))
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, BuiltinFunctionType):
        yield value.__self__
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (value.fget, value.fset, value.fdel)
    elif isinstance(value, functools._lru_cache_wrapper):
        yield value.__wrapped__


def _parts(value: Any) -> Iterator[Any]:
    """What something of the user's consists of, or reaches."""
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, type):
        yield from (*value.__bases__, *vars(value).values())
    elif isinstance(value, ModuleType):  # as a whole: any of its functions may be taken from it
        yield from (part for part in vars(value).values() if isinstance(part, FunctionType | type))
    else:
        yield type(value)
        yield from getattr(value, "__dict__", {}).values()


def _of_function(function: FunctionType) -> Iterator[Any]:
    space = function.__globals__
    yield from (function.__defaults__, function.__kwdefaults__, vars(function))
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty one
            yield cell.cell_contents
    for code in _codes(function.__code__):
        yield code.co_consts
        if (
            "datetime64" in code.co_names and "datetime64" not in space
        ):  # of whatever it is an attribute
            yield np.datetime64
    found = reads(function.__code__)
    for name, attributes in found.names:
        if name in space:  # else it is built in
            yield _attribute(space[name], attributes)
    for name, level, attributes in found.imports:
        try:
            module = importlib.import_module("." * level + name, space.get("__package__"))
        except Exception:  # it fails where it stands too, unless it is never met there
            continue
        yield _attribute(module, attributes)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _attribute(value: Any, attributes: tuple[str, ...]) -> Any:
    """What `name.attribute` means where the name is a module; of other things, all of them
    counts.
    """
    for part in attributes:
        if not isinstance(value, ModuleType):
            break
        value = getattr(value, part, None)
    return value
