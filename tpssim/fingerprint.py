"""A name for code: equal only if the code is. Results are kept under it, so that edited code is run anew."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from pathlib import Path
from typing import Any


@functools.cache
def package() -> str:
    """A name for the sources of this package as they are now."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def fingerprint(law: type) -> str:
    """A name for the code of a law: of this package, or of a class of the user's with all that it calls."""
    if law.__module__.startswith("tpssim."):
        return f"{law.__module__}.{law.__qualname__} {package()}"
    digest = hashlib.sha256(f"{law.__qualname__} {package()}".encode())
    seen: set[int] = set()
    for name, thing in sorted(vars(law).items()):
        if isinstance(thing, types.FunctionType):
            digest.update(name.encode())
            _add(digest, thing, seen)
    return digest.hexdigest()


def _add(digest: Any, function: types.FunctionType, seen: set[int]) -> None:
    """A function's code, its constants, and the functions and plain values that it finds in its module."""
    if id(function) in seen:
        return
    seen.add(id(function))
    _add_code(digest, function, function.__code__, seen)
    digest.update(repr(function.__defaults__).encode())


def _add_code(digest: Any, function: types.FunctionType, code: types.CodeType, seen: set[int]) -> None:
    digest.update(code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, function, constant, seen)
        else:
            digest.update(repr(constant).encode())
    outside = inspect.getclosurevars(function)
    for name, thing in sorted({**outside.globals, **outside.nonlocals}.items()):
        digest.update(name.encode())
        if isinstance(thing, types.FunctionType):
            _add(digest, thing, seen)
        elif isinstance(thing, bool | int | float | str | tuple):
            digest.update(repr(thing).encode())
