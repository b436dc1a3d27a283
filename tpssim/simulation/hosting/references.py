"""All references to an object made references to another one, and back.

Code that is not ours holds a function in many ways: as an attribute of a module, a class or an
instance, as a default argument, in a closure, a partial, a slot, a list. What cannot be changed, a
tuple or a static method, is made once more, and takes the place of the first in whatever holds
that.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from types import CellType, FunctionType, MemberDescriptorType
from typing import Any

DEPTH = 4  # things that cannot be changed, one in the other


def of_the_bench(space: Any) -> bool:
    """Whether these are the names of a module of ours, which knows what it calls."""
    name = str(space.get("__name__", ""))
    return name == "tpssim" or name.startswith("tpssim.")


def attributes(owner: type) -> Any:
    """The dict of a class itself, not a view of it."""
    return gc.get_referents(owner.__dict__)[0]


def owner_of(space: dict[str, Any]) -> type | None:
    """The class whose attributes these are, if it is where such a class mostly is; else all that
    there is must be looked through, which takes long.
    """
    named = (space.get("__dict__"), space.get("__weakref__"))
    known: list[Any] = [getattr(descriptor, "__objclass__", None) for descriptor in named]
    name = space["__module__"]
    module = sys.modules.get(name) if isinstance(name, str) else None
    for owner in (*known, *getattr(module, "__dict__", {}).values()):
        if issubclass(type(owner), type) and attributes(owner) is space:  # runs nobody's code
            found: type = owner
            return found
    return None


class Exchange:
    """Of `old` objects for `new` ones; `spared` are dicts and lists that keep theirs."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]], spared: Iterable[Any] = ()) -> None:
        self.old: dict[int, Any] = {}
        self.new: dict[int, Any] = {}
        for old, new in pairs:
            self._add(old, new)
        self.undo: list[Callable[[], None]] = []
        self.maybe_of_classes: list[dict[str, Any]] = []  # dicts that may be a class's attributes
        self.spared = {id(holder) for holder in (self.old, self.new, self.undo, *spared)}

    def _add(self, old: Any, new: Any) -> None:
        self.old[id(old)], self.new[id(old)] = old, new

    def _changed(self, value: Any) -> Any:
        return self.new[id(value)] if self.old.get(id(value), self) is value else value

    def make(self) -> None:
        found = list(self.old.values())
        for _ in range(DEPTH):
            self.spared.add(id(found))
            holders = [
                h for h in gc.get_referrers(*found) if id(h) not in self.spared and h is not found
            ]
            found = [holder for holder in holders if not self._in_holder(holder)]
            self._in_classes()
            if not found:
                break

    def back(self) -> None:
        while self.undo:
            self.undo.pop()()

    def _in_holder(self, holder: Any) -> bool:
        """Exchange what it holds; False if it had to be made once more."""
        if isinstance(holder, tuple):
            self._add(holder, tuple.__new__(type(holder), map(self._changed, holder)))
            return False
        if isinstance(holder, staticmethod):
            self._add(holder, staticmethod(self._changed(holder.__func__)))
            return False
        if isinstance(holder, FunctionType):
            self._set(holder, "__defaults__", holder.__defaults__)
        elif isinstance(holder, CellType):
            self._set(holder, "cell_contents", holder.cell_contents)
        elif isinstance(holder, functools.partial):
            self._in_partial(holder)
        elif isinstance(holder, (list, deque)):
            for i, value in enumerate(holder):
                self._put(holder, i, value)
        elif isinstance(holder, dict):
            self._in_dict(holder)
        elif not isinstance(holder, type):
            self._in_instance(holder)
        return True

    def _set(self, holder: Any, name: str, value: Any) -> None:
        if self._changed(value) is not value:
            setattr(holder, name, self._changed(value))
            self.undo.append(functools.partial(setattr, holder, name, value))

    def _put(self, space: Any, key: Any, value: Any) -> None:
        new = self._changed(value)
        if new is value:
            return
        space[key] = new

        def back() -> None:
            there = key in space if isinstance(space, dict) else key < len(space)
            if there and space[key] is new:
                space[key] = value

        self.undo.append(back)

    def _in_mapping(self, space: dict[Any, Any]) -> None:
        for key, value in list(space.items()):
            self._put(space, key, value)

    def _in_dict(self, holder: dict[Any, Any]) -> None:
        if of_the_bench(holder):
            return
        if isinstance(holder, defaultdict):
            self._set(holder, "default_factory", holder.default_factory)
        if "__module__" in holder:
            self.maybe_of_classes.append(holder)
        else:
            self._in_mapping(holder)

    def _in_classes(self) -> None:
        """What a class holds must be set through it."""
        owners = {id(space): owner_of(space) for space in self.maybe_of_classes}
        lost = [space for space in self.maybe_of_classes if owners[id(space)] is None]
        for owner in gc.get_referrers(*lost) if lost else ():
            if isinstance(owner, type):
                owners[id(attributes(owner))] = owner
        for space in self.maybe_of_classes:
            owner = owners[id(space)]
            if owner is None:
                self._in_mapping(space)
            else:
                for key, value in list(space.items()):
                    self._set(owner, key, value)
        self.maybe_of_classes.clear()

    def _in_partial(self, holder: Any) -> None:
        old = holder.__reduce__()[2]
        holder.__setstate__((self._changed(old[0]), tuple(map(self._changed, old[1])), *old[2:]))
        self.undo.append(functools.partial(holder.__setstate__, old))

    def _in_instance(self, holder: Any) -> None:
        space = getattr(holder, "__dict__", None)
        if isinstance(space, dict) and id(space) not in self.spared and not of_the_bench(space):
            self._in_mapping(space)
        for kind in type(holder).__mro__:
            for slot in vars(kind).values() if "__slots__" in vars(kind) else ():
                if isinstance(slot, MemberDescriptorType):
                    self._in_slot(holder, slot)

    def _in_slot(self, holder: Any, slot: MemberDescriptorType) -> None:
        try:
            value = slot.__get__(holder)
        except AttributeError:  # empty
            return
        if self._changed(value) is not value:
            slot.__set__(holder, self._changed(value))
            self.undo.append(functools.partial(slot.__set__, holder, value))
