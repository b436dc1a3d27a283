"""Where code comes from, and what of the machine decides numbers: the parts of a key that are not
walked.

Code of this package, of Python and of installed distributions is known by name and version; all
other code is the user's, and may change from one run to the next under the same name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.metadata
import inspect
import os
import platform
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = __name__.partition(".")[0]
_OURS = f"{PACKAGE}."


class Opaque(Exception):
    """A result depends on something that cannot be known beforehand; the message says on what."""


def root() -> Path:
    """The folder of this package."""
    return Path(sys.modules[PACKAGE].__path__[0])


@functools.cache
def package() -> str:
    """A name for all sources of this package, as this process has loaded them.

    Raises `Opaque` if a source was changed since: nobody knows then which of them runs.
    """
    digest = hashlib.sha256()
    loaded: float = sys.modules[PACKAGE]._loaded
    for path in sorted(root().rglob("*.py")):
        stat = path.stat()
        # A copy keeps the time of its original; when it was put there stands in the file's status.
        if (stat.st_ctime if os.name == "posix" else stat.st_mtime) > loaded:
            raise Opaque(f"{PACKAGE}/{path.relative_to(root())} was changed while the program ran")
        text = path.read_bytes()
        digest.update(f"{path.relative_to(root()).as_posix()} {len(text)} ".encode() + text)
    return digest.hexdigest()[:16]


def ours(thing: Any) -> bool:
    """Whether it is a class or function of this package, which cannot change while the process
    runs.
    """
    return (thing.__module__ or "").startswith(_OURS)


#: Modules whose answers depend on their arguments alone; what is not named here is not believed.
_PURE = f"""
    builtins math cmath operator _operator itertools functools _functools statistics _statistics
    collections _collections _collections_abc typing types dataclasses enum fractions decimal
    _decimal numbers abc _abc bisect _bisect heapq _heapq array struct _struct string copy copyreg
    re contextlib __future__ reprlib _thread.get_ident numpy numba scipy.special scipy.linalg
    scipy.interpolate scipy.integrate scipy.fft scipy.constants {_OURS}controllers {_OURS}core.types
    {_OURS}core.errors {_OURS}core.validation {_OURS}core.schedule {_OURS}core.window
    {_OURS}core.profiles {_OURS}core.slots {_OURS}core.quotas {_OURS}core.quota_windows
    {_OURS}core.arrivals
    {_OURS}core.clocks {_OURS}core.timer_models {_OURS}scenarios.disturbances {_OURS}scenarios.plant
    {_OURS}scenarios.capacity {_OURS}scenarios.feedback {_OURS}scenarios.load
    {_OURS}scenarios.producers {_OURS}scenarios.retries {_OURS}scenarios.scenario
    {_OURS}scenarios.service_quotas {_OURS}scenarios.service_times {_OURS}metrics.timeseries
    """.split()
#: What in them is an exception: clocks, chance, files, addresses, code as text.
_BUT = {
    f"{_OURS}controllers": "article",  # throttles that read the clock
    "builtins": "open input eval exec compile __import__ globals locals hash id breakpoint",
    "contextlib": "chdir",
    "numba": "cuda",
    "numpy": (
        """random load loadtxt genfromtxt fromfile fromregex memmap open_memmap DataSource
        datetime64 lib ma rec ctypeslib f2py testing distutils"""
    ),
    "statistics": "NormalDist",  # draws samples
}
_TRUSTED = ("numpy", "scipy", "numba", PACKAGE)


def pure(name: str) -> bool:
    """Whether what has that dotted name is known to depend on its arguments alone."""
    base = next((base for base in _PURE if name == base or name.startswith(f"{base}.")), "")
    if not base or (name == base and base in _BUT):  # a module that is read as a whole
        return False
    return not set(name.split(".")) & set(_BUT.get(base, "").split())


def walkable(name: str) -> bool:
    """Whether it comes with a distribution that may be the user's own: its code is looked into."""
    top = name.partition(".")[0]
    return top not in _TRUSTED and top not in sys.stdlib_module_names


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(
        os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep) for folder in folders
    )


def _installed(path: str) -> bool:
    ours = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    return _below(path, [*ours, *site.getsitepackages(), site.getusersitepackages()])


def _standard(top: str, path: str) -> bool:
    """Whether it is Python's own: a file of the user's may have the name of a standard module."""
    folders = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")]
    return top in sys.stdlib_module_names and (
        not path or (_below(path, folders) and not _installed(path))
    )


@functools.lru_cache(maxsize=1024)
def _origin(name: str, path: str) -> str:
    top = name.partition(".")[0]
    if top == PACKAGE:
        return PACKAGE  # of its sources, `environment` says which
    if _standard(top, path):
        return f"python {sys.version}"
    if path and _installed(path):
        return version(top)
    if path.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
        return f"{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    return ""


#: It looks at every file of every distribution.
_distributions = functools.cache(importlib.metadata.packages_distributions)


@functools.cache
def version(name: str) -> str:
    """A distribution's name, version and digest of its files as they were installed; "" if there is
    none.
    """
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        listed = _distributions().get(name)
        if not listed:
            return ""
        found = importlib.metadata.distribution(listed[0])
    files = hashlib.sha256((found.read_text("RECORD") or "").encode()).hexdigest()[:16]
    return f"{name} {found.version} {files}"


def origin(name: str) -> str:
    """What a module is known by, with its version; "" for one of the user's, or if it is not
    loaded.
    """
    module = sys.modules.get(name)
    return "" if module is None else _origin(name, str(getattr(module, "__file__", None) or ""))


def known(thing: Any) -> str:
    """The full name and version of a module, class or function that is not the user's; else "".

    A name alone proves nothing (`functools.wraps` copies it): the thing itself must stand under it.
    """
    if isinstance(thing, ModuleType):
        return f"{origin(thing.__name__)} {thing.__name__}" if origin(thing.__name__) else ""
    module = getattr(thing, "__module__", None)
    path = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not isinstance(module, str):
        module = type(thing).__module__
        if module == "numpy" and isinstance(path, str) and not hasattr(sys.modules[module], path):
            module = "scipy.special"  # whose ufuncs do not say so
    source = origin(module)
    if not source or not isinstance(path, str):
        return ""
    found: Any = sys.modules[module]
    for part in path.split("."):
        found = inspect.getattr_static(found, part, None)
    there = thing is found or (found is not None and thing is getattr(found, "__func__", None))
    return f"{source} {module}.{path}" if there else ""


#: Settings of numba that change no number.
_HARMLESS = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER")


def settings() -> list[str]:
    """Variables of the environment that change how code is compiled, or which instructions it may
    use.
    """
    prefixes = ("NUMBA_", "NPY_", "GLIBC_TUNABLES")
    return sorted(
        f"{k}={v}" for k, v in os.environ.items() if k.startswith(prefixes) and k not in _HARMLESS
    )


@functools.cache
def _machine() -> tuple[str, ...]:
    import numpy as np

    core: Any = np._core if hasattr(np, "_core") else np.core
    features = core._multiarray_umath.__cpu_features__
    has = " ".join(sorted(name for name, there in features.items() if there))
    libraries = [version(name) or f"no {name}" for name in ("numpy", "scipy", "numba", "llvmlite")]
    libc = " ".join(platform.libc_ver())
    return sys.version, sys.byteorder, platform.system(), platform.machine(), libc, has, *libraries


def environment() -> tuple[str, ...]:
    """All that decides numbers beside code and arguments: versions, and the machine's floating
    point.

    NumPy, the C library and SciPy take other instructions on other processors, and round
    differently there.
    """
    return (package(), *_machine(), *settings())
