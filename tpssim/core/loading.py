"""Code that stands elsewhere: `FILE.py:callable`, `package.module:callable`. Standard library
only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tpssim.core.errors import InputError


def load(kind: str, spec: str) -> Callable[..., Any]:
    """The callable, from a module executed afresh; raises `InputError`, which says `kind`."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"{kind} {spec!r}: allowed: FILE.py:callable or package.module:callable")
    found: Any = _fresh_module(kind, spec, place)
    known = sorted(n for n, v in vars(found).items() if callable(v) and not n.startswith("_"))
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(
            f"{kind} {spec!r}: {place} has no callable {name!r}; allowed:"
            f" {', '.join(known) or 'none'}"
        )
    function: Callable[..., Any] = found
    return function


def _fresh_module(kind: str, spec: str, place: str) -> ModuleType:
    path = Path(place).resolve()
    is_file = place.endswith(".py")
    if is_file and not path.is_file():
        raise InputError(f"{kind} file {place!r} is not there; allowed: a Python file")
    # What stands beside a file can be imported, as if it were run; later too, when it is called.
    beside = str(path.parent) if is_file else ""
    if beside not in sys.path:
        sys.path.insert(0, beside)
    try:
        if is_file:
            name = f"{kind}_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
            found = importlib.util.spec_from_file_location(name, path)
        else:
            found = importlib.util.find_spec(place)
        if found is None or found.loader is None:
            raise ModuleNotFoundError(f"No module named {place!r}")
        module = importlib.util.module_from_spec(found)
        before = sys.modules.get(found.name)
        sys.modules[found.name] = module
        try:
            found.loader.exec_module(module)
        finally:
            if before is not None:
                sys.modules[found.name] = before
    except Exception as error:
        raise InputError(
            f"{kind} {spec!r} cannot be loaded: {type(error).__name__}: {error}; allowed: code that"
            " imports"
        ) from error
    return module
