"""Whether a JSON value has the shape that a type says; in one line what has not.

Shapes are type hints: `float`, `int`, `str`, `bool`, `None`, `Any`, `list`, `dict`, a `TypedDict`,
a union of these, and `Annotated[..., Range(...)]`. `float | None` is a number that may not exist (a
mean of nothing, a time that was never reached). An object may hold more than its `TypedDict` says.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Union

MOST = 1e300  # what is drawn is scaled, and must not overflow
WORDS = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    type(None): "null",
}


def fault(value: Any, shape: Any, path: str) -> str:
    """What in a value is not of its shape: the path, what is there, what is allowed; "" if nothing
    is.

    >>> class Verdict(typing.TypedDict):
    ...     word: str
    >>> fault({"word": 3}, Verdict, "verdict")
    'verdict > word is 3; allowed: text'
    """
    if shape is Any:
        return ""
    origin, inner = typing.get_origin(shape), typing.get_args(shape)
    if origin is Annotated:
        outside = fault(value, inner[0], path)
        return outside or ("" if inner[1].holds(value) else _says(path, value, str(inner[1])))
    if origin in (Union, types.UnionType):
        return _of_union(value, inner, path)
    if origin is dict:
        if not isinstance(value, Mapping):
            return _says(path, value, "an object")
        return first(fault(v, inner[1], f"{path} > {name}") for name, v in value.items())
    if origin is list:
        if not isinstance(value, list):
            return _says(path, value, "a list")
        return first(fault(item, inner[0], f"{path} > {i}") for i, item in enumerate(value))
    if typing.is_typeddict(shape):
        if not isinstance(value, Mapping):
            return _says(path, value, "an object")
        required = shape.__required_keys__
        hints = hints_of(shape).items()
        return first(
            field(value, name, of, path) for name, of in hints if name in value or name in required
        )
    return _of_plain(value, shape, path)


@functools.cache
def hints_of(shape: Any) -> Mapping[str, Any]:
    """The shape of each field of a class, by name."""
    return typing.get_type_hints(shape, include_extras=True)


def _of_union(value: Any, arms: Collection[Any], path: str) -> str:
    """Where one arm alone is not null, what is wrong inside a value of that."""
    if not all(fault(value, arm, path) for arm in arms):
        return ""
    structured = [arm for arm in arms if arm not in WORDS]
    if len(structured) == 1 and isinstance(value, list | Mapping):
        return fault(value, structured[0], path)
    return _says(path, value, " or ".join(_named(arm) for arm in arms))


def _of_plain(value: Any, shape: Any, path: str) -> str:
    number = isinstance(value, int) and shape is float
    fits = (isinstance(value, shape) or number) and (shape is bool or not isinstance(value, bool))
    if fits and shape is float and abs(value) > MOST:
        return _says(path, value, f"a number of at most {MOST:g}")
    return "" if fits else _says(path, value, WORDS[shape])


def first(faults: Iterable[str]) -> str:
    """The first that is one; "" if none is."""
    return next((found for found in faults if found), "")


def field(value: Mapping[str, Any], name: str, shape: Any, path: str) -> str:
    """The same of a field of an object, which has to be there; its place is `path`."""
    here = f"{path} > {name}" if path else name
    if name in value:
        return fault(value[name], shape, here)
    return f"{here} is missing; allowed: {_named(shape)}"


def empty(value: Collection[Any], path: str) -> str:
    """What is wrong with a list that must hold something."""
    return "" if value else f"{path} is empty; allowed: at least one"


def unlike(value: Collection[Any], n: int, path: str) -> str:
    """What is wrong with a list of another length than n."""
    return "" if len(value) == n else f"{path} has {len(value)} entries; allowed: {n}, as beside it"


def unknown(name: str, known: Iterable[str], path: str) -> str:
    """What is wrong with a name that is none of the known ones."""
    listed = list(known)
    return "" if name in listed else f"{path} names {name!r:.40}; allowed: {', '.join(listed)}"


def _named(shape: Any) -> str:
    if typing.get_origin(shape) in (Union, types.UnionType):
        return " or ".join(_named(arm) for arm in typing.get_args(shape))
    return WORDS.get(shape, "a list" if typing.get_origin(shape) is list else "an object")


def _says(path: str, value: Any, allowed: str) -> str:
    if isinstance(value, list | Mapping):
        shown = f"a list of {len(value)}" if isinstance(value, list) else "an object"
    else:
        shown = "null" if value is None else repr(value)[:40]
    return f"{path} is {shown}; allowed: {allowed}"
