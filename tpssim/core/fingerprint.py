"""A key for code and values: all that they reach is part of it, so that equal keys mean equal runs.

Of the user's code its bytecode with names and constants counts, not where it stands: the class, its
bases, properties and methods, defaults and closures, and all that these read of their modules,
recursively. Code of this package, of Python and of installed distributions counts by name and
version (`provenance`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import struct
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from tpssim.core.provenance import Opaque, known, origin, pure, walkable
from tpssim.core.reads import Reads, reads

#: Of a class: where it stands, what others of its entries say again, and caches.
_PLACES = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__static_attributes__",
    "__slotnames__",
    "_abc_impl",
}
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented))
_CONTENTS = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex)
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
)
_DEEPEST = 60  # how many things may lie within one another
_alive: dict[int, Any] = {}  # what was keyed by its identity, so that nothing else can ever have it


def fingerprint(*things: Any) -> str:
    """A key for the things, equal in every process where they are; raises `Opaque` if there can be
    none.
    """
    return Walk(strict=True).of(things)


class Walk:
    """One pass through all that some things reach, each once, in an order that they decide."""

    def __init__(self, strict: bool, seen: dict[int, tuple[int, Any]] | None = None) -> None:
        self.strict = strict
        self.digest = hashlib.sha256()
        # The objects too, so that no id is used again.
        self.seen: dict[int, tuple[int, Any]] = dict(seen or {})
        self.trail: list[str] = []
        self.depth = 0
        self.bindings: list[
            tuple[Callable[[], Any], Any]
        ] = []  # what was read, and how to read it again
        self.sizes: list[tuple[Any, int]] = []  # of classes: an entry may be new
        self.lasting = (
            True  # whether nothing that was reached can change while its name stays bound to it
        )

    def note(self, space: Any, name: str) -> None:
        """What a name means in a module or a class."""
        self.bindings.append(
            (functools.partial(space.get, name, Ellipsis), space.get(name, Ellipsis))
        )

    def of(self, thing: Any) -> str:
        self.add(thing)
        return self.digest.hexdigest()

    def put(self, tag: str, content: bytes | str = b"") -> None:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self.digest.update(b"%b %d " % (tag.encode(), len(data)))
        self.digest.update(data)

    def opaque(self, thing: Any, why: str) -> None:
        """What cannot be known: refused, or within the process known by its identity."""
        if self.strict:
            raise Opaque(f"{'.'.join(self.trail[-2:]) or 'it'} {why}")
        _alive[id(thing)] = thing
        self.put("this", str(id(thing)))

    def add(self, thing: Any) -> None:
        kind = type(thing)
        if self.depth > _DEEPEST:
            self.opaque(thing, "is nested too deep")
            return
        self.depth += 1
        if kind in PLAIN or kind in (tuple, frozenset):  # equal constants may be one object or two
            self._content(kind, thing)
        elif id(thing) in self.seen:
            self.put("again", str(self.seen[id(thing)][0]))
        else:
            if not isinstance(thing, tuple):
                self.seen[id(thing)] = len(self.seen), thing
            self._new(thing, kind)
        self.depth -= 1

    def _new(self, thing: Any, kind: type) -> None:
        name = known(thing) if hasattr(thing, "__name__") else ""
        where = name.rpartition(" ")[2]
        if name and not (self.strict and walkable(where)):
            # Python's own: those of data classes, say.
            usual = where in ("builtins.hash", "builtins.id") and {"__hash__", "__repr__"} & {
                *self.trail
            }
            if self.strict and not (usual or pure(where)):
                self.opaque(thing, f"reaches {where}, which may read more than its arguments")
            self.put("known", name)
        elif isinstance(thing, type):
            self._class(thing)
        elif kind in _CONTENTS:
            self._content(kind, thing)
        elif kind is types.ModuleType:
            self._module(thing)
        elif kind is types.FunctionType:
            self._function(thing)
        elif kind is types.CodeType:
            self.put("code", _of_code(thing))
        elif kind in _DESCRIPTORS:
            self._parts("descriptor", thing.__name__, thing.__objclass__)
        elif kind is types.BuiltinFunctionType and thing.__self__ is not None:
            self._parts("method", thing.__name__, thing.__self__)
        else:
            self._wrapper(thing, kind)

    def _parts(self, tag: str, *parts: Any) -> None:
        self.put(tag)
        for part in parts:
            self.add(part)

    def _wrapper(self, thing: Any, kind: type) -> None:
        """What stands around a function, else an instance."""
        if isinstance(thing, property):
            self._parts("property", kind, thing.fget, thing.fset, thing.fdel)
        elif isinstance(thing, staticmethod | classmethod):
            self._parts("static", kind, thing.__func__)
        elif kind is types.MethodType:
            self._parts("bound", thing.__func__, thing.__self__)
        elif kind is types.MappingProxyType:
            self._parts("proxy", dict(thing))
        elif kind is functools._lru_cache_wrapper:
            self._parts("cached", thing.__wrapped__, thing.cache_parameters())
        elif kind is functools.cached_property:
            self._parts("cached", thing.func, thing.attrname)
        elif kind.__module__.startswith("numba.") and hasattr(thing, "py_func"):
            self._parts("compiled", thing.py_func, dict(thing.targetoptions))
        elif origin(kind.__module__):
            self._reduced(thing)
        else:
            self._instance(thing, kind)

    def _content(self, kind: type, thing: Any) -> None:
        """The content of a built-in value."""
        if issubclass(kind, dict):
            self.put("dict", str(len(thing)))
            for key, value in dict.items(thing):
                self.add(key)
                self.add(value)
        elif issubclass(kind, tuple | list):
            floats = bool(thing) and set(map(type, thing)) == {float}
            self.put(f"{kind.__name__} of floats" if floats else kind.__name__, str(len(thing)))
            if floats:
                self.digest.update(struct.pack(f"<{len(thing)}d", *thing))
                return
            for part in thing:
                self.add(part)
        elif issubclass(kind, set | frozenset):
            # The order of a set differs from process to process.
            each = sorted(self._alone(part) for part in thing)
            self.put(kind.__name__, " ".join(each))
        elif issubclass(kind, str):
            self.put("str", str.__str__(thing))
        elif issubclass(kind, bytes | bytearray):
            self.put(kind.__name__, bytes(thing))
        elif issubclass(kind, float):
            self.put("float", struct.pack("<d", thing))
        elif issubclass(kind, complex):
            self.put("complex", struct.pack("<2d", thing.real, thing.imag))
        elif issubclass(kind, int) and kind is not bool:
            self.put("int", hex(thing))
        else:
            self.put("plain", repr(thing))

    def _alone(self, thing: Any) -> str:
        """A key for a thing, wherever it stands among others."""
        walk = Walk(self.strict, self.seen)
        walk.trail, walk.depth = [*self.trail], self.depth
        walk.bindings, walk.sizes = self.bindings, self.sizes
        found = walk.of(thing)
        self.lasting = self.lasting and walk.lasting
        return found

    def _class(self, cls: type) -> None:
        self.trail.append(cls.__name__)
        self.put("class", cls.__qualname__)
        if type(cls) is not type:
            self.add(type(cls))
        self.bindings.append((functools.partial(getattr, cls, "__bases__"), cls.__bases__))
        self.add(cls.__bases__)
        try:
            hints = typing.get_type_hints(cls, include_extras=True)  # a `Range` is part of a law
        except Exception:  # names that only a type checker knows
            hints = dict(vars(cls).get("__annotations__", {}))
        self.add(hints)
        space = vars(cls)
        self.sizes.append((space, len(space)))
        for name, value in sorted(space.items()):
            if name not in _PLACES:
                self.put("name", name)
                self.note(space, name)
                self.lasting = self.lasting and (name in _MADE or _lasts(value))
                self.add(value)
        self.trail.pop()

    def _items(self, items: Iterable[tuple[str, Any]]) -> None:
        for name, value in sorted(items, key=lambda item: item[0]):
            self.put("name", name)
            self.add(value)

    def _module(self, module: types.ModuleType) -> None:
        """A module of the user's of which anything may be read."""
        self.put("module")
        self.lasting = False
        self._items(
            (name, value) for name, value in vars(module).items() if not name.startswith("__")
        )

    def _function(self, function: types.FunctionType) -> None:
        self.trail.append(function.__name__)
        self.put("function", function.__name__)
        for part in (
            "__code__",
            "__defaults__",
            "__kwdefaults__",
        ):  # an edit may put others in their place
            self.bindings.append(
                (functools.partial(getattr, function, part), getattr(function, part))
            )
        self.put("code", _of_code(function.__code__))
        self._parts("defaults", function.__defaults__, function.__kwdefaults__)
        self._parts("notes", function.__annotations__, function.__dict__)
        found = reads(function.__code__)
        self.sizes.append((function.__dict__, len(function.__dict__)))
        changing = function.__kwdefaults__ or function.__dict__
        self.lasting = self.lasting and _lasts(function.__defaults__) and not changing
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                self.put("empty cell")
                continue
            self.bindings.append((functools.partial(getattr, cell, "cell_contents"), content))
            self.lasting = self.lasting and _lasts(content)
            self._parts("cell", content)
        for name in found.writes:
            self.opaque(function, f"changes {name} as it runs")
        self._names(function, found)
        self.trail.pop()

    def _names(self, function: types.FunctionType, found: Reads) -> None:
        """What a function finds in its module, in modules that it finds there, and among the
        built-ins.
        """
        space: dict[str, Any] = function.__globals__
        builtins: dict[str, Any] = getattr(function, "__builtins__")  # noqa: B009
        for name, attributes in found.names:
            value = space.get(name, builtins.get(name, Ellipsis))
            self.note(space, name)
            self._attribute(name, value, attributes)
        for name, level, attributes in reversed(
            found.imports
        ):  # "a.b" before the "a" that it is read from
            try:
                module = importlib.import_module("." * level + name, space.get("__package__"))
            except Exception as error:
                self.opaque(function, f"imports {name}, which fails: {error}")
                continue
            self._attribute(name, module, attributes)

    def _attribute(self, name: str, value: Any, attributes: tuple[str, ...]) -> None:
        """What `name.attribute` means where the name is a module; of other things, all of them
        counts.
        """
        for part in attributes:
            if not isinstance(value, types.ModuleType):
                break
            name, space = f"{name}.{part}", vars(value)
            value = getattr(value, part, Ellipsis)
            self.note(space, part)
        self.put("read", name)
        self.lasting = self.lasting and _lasts(value)
        self.add(value)

    def _reduced(self, thing: Any) -> None:
        """An instance of a class that is not the user's, by what `pickle` would keep of it."""
        where = f"{type(thing).__module__}.{type(thing).__qualname__}"
        try:
            kept = thing.__reduce_ex__(4)
        except Exception:
            self.opaque(thing, f"reaches an object of {where}, which cannot be looked into")
            return
        if isinstance(kept, str):
            if not where.startswith("typing."):
                self.opaque(
                    thing, f"reaches {kept}, an object of {where}, which cannot be looked into"
                )
            self.put("singleton", f"{where} {kept}")
            return
        self.put("instance", where)
        for part in kept:
            self.add(
                part
                if part is None or isinstance(part, tuple | dict) or callable(part)
                else list(part)
            )

    def _instance(self, thing: Any, kind: type) -> None:
        """An instance of the user's: its class, its content, its attributes."""
        self._parts("instance", kind)
        base = next((base for base in _CONTENTS if isinstance(thing, base)), None)
        if base is not None:
            self._content(base, thing)
        elif any(
            known(cls) and cls.__module__ not in _BARE and cls is not object for cls in kind.__mro__
        ):
            self._reduced(thing)
        self._items(getattr(thing, "__dict__", {}).items())
        for cls in kind.__mro__:
            for name, slot in sorted(vars(cls).items()):
                if isinstance(slot, types.MemberDescriptorType):
                    self.put("slot", name)
                    self.add(getattr(thing, name, Ellipsis))


def _lasts(value: Any) -> bool:
    """Whether it can change only by another thing being put in its place."""
    if isinstance(value, tuple | frozenset) and not hasattr(value, "__dict__"):
        return all(map(_lasts, value))
    return isinstance(value, _LASTING) or (hasattr(value, "__name__") and bool(known(value)))


_LASTING = (
    *PLAIN,
    *_DESCRIPTORS,
    type(vars(Reads)["names"]),  # a field of a named tuple
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    property,
    staticmethod,
    classmethod,
)
_MADE = ("_field_defaults", "__orig_bases__")  # by `NamedTuple`, and changed by nobody

_BARE = ("typing", "abc", "enum", "collections.abc")  # whose bases hold nothing of their own


@functools.lru_cache(maxsize=4096)
def _of_code(code: types.CodeType) -> bytes:
    """What code does, whatever file and line it stands in."""
    walk = Walk(strict=True)
    walk.add((code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    walk.add((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags))
    walk.add((code.co_code, code.co_exceptiontable, code.co_consts))
    return walk.digest.digest()
