"""Code of the user's as it is at this moment of the process: what is kept of it in memory ends with
that.

A notebook defines a class or a constant again, and its autoreload puts other code into a function
that stays. A look costs microseconds where only names were read, a walk (`fingerprint`) where
values can change.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any

from tpssim.core.fingerprint import PLAIN, Walk
from tpssim.core.provenance import ours

LONG = 1000  # numbers
MOST = 64  # classes and functions of which it is remembered how they were
_CODE = (type, types.FunctionType, types.CodeType, types.BuiltinFunctionType, types.ModuleType)


def current(thing: Any) -> str:
    """A key for a class or function as it is at this moment of the process; "" for one of this
    package.

    It is another one as soon as a function or a constant that it reaches is defined again or
    changed in place. What `fingerprint` refuses counts by its identity. A large array that the code
    reads is hashed each time: a millisecond for each megabyte, about.
    """
    return "" if ours(thing) else seen(thing).key


def of_users(things: Iterable[Any]) -> Iterator[Any]:
    """The classes and functions of the user's in some records, and in the records inside them."""
    for thing in things:
        kind = type(thing)
        if kind is tuple and _numbers(thing):
            continue
        if isinstance(thing, tuple):
            if kind is not tuple and not ours(kind):
                yield kind
            yield from of_users([part for part in thing if type(part) is not float])
        elif kind not in PLAIN:
            yield thing if kind is types.FunctionType else kind


def _numbers(thing: tuple[Any, ...]) -> bool:
    """Whether it is a tuple of floats; a recording, which may be long, is looked through once."""
    if _recordings.get(id(thing)) is thing:
        return True
    found = set(map(type, thing)) <= {float}
    if found and len(thing) > LONG:
        if len(_recordings) >= MOST:
            _recordings.clear()
        _recordings[id(thing)] = thing
    return found


class Seen:
    """What a class or function was when it was looked at."""

    def __init__(self, thing: Any) -> None:
        walk = Walk(strict=False)
        self.key = walk.of(thing)
        self._bindings, self._sizes, self._lasting = walk.bindings, walk.sizes, walk.lasting

    def holds(self) -> bool:
        """Whether nothing that was read can have changed since: in microseconds."""
        if not self._lasting:
            return False
        for read, value in self._bindings:
            if read() is not value:
                return False
        return all(len(space) == size for space, size in self._sizes)

    def same_code(self) -> bool:
        """Whether each name that was read still means the same function, or a value of the same
        kind.
        """
        for read, value in self._bindings:
            now = read()
            if now is not value and (type(now) is not type(value) or isinstance(now, _CODE)):
                return False
        return True


def seen(thing: Any) -> Seen:
    """A class or function as it is at this moment."""
    found = _seen.get(thing)
    if found is None or not found.holds():
        if len(_seen) >= MOST:
            _seen.clear()
        found = _seen[thing] = Seen(thing)
    return found


_seen: dict[Any, Seen] = {}
_recordings: dict[int, tuple[Any, ...]] = {}  # by id; that they are kept keeps the id theirs
