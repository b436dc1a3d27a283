"""Compiled code kept on disk, in folders of our own: one for each state of the sources, numba, its
settings.

numba keeps one index for all signatures of a function and trusts what it reads. Here each signature
has a file of its own with a digest: what is damaged, or was written under that name for another
signature, counts as missing and is compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import stat
import sys
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

from numba.core import compiler, config, runtime, serialize

from tpssim.core.provenance import package, version
from tpssim.simulation.compiled.folder import ENDING, kept_in

# folders of earlier sources that always stay; s without use after which others go
KEPT, UNUSED = (
    3,
    86_400.0,
)
MARK = "made-by-tpssim"
_FOLDER = re.compile("[0-9a-f]{16}")
_FILE = re.compile(r"[\w.]+-[0-9a-f]{16}\.nbc(\.[0-9a-f]{8})?")
_SEAL = 32  # bytes of a digest
settings: Any = config  # numba's, which a type checker does not know
_results: Any = compiler.CompileResult
_dumps: Any = serialize.dumps
_runtime: Any = runtime
#: Of numba, those that change what is compiled; its own cache does not tell them apart.
_SETTINGS = """
    BOUNDSCHECK CPU_FEATURES CPU_NAME DEBUGINFO_DEFAULT DISABLE_INTEL_SVML ENABLE_AVX
    EXTEND_VARIABLE_LIFETIMES
    LLVM_REFPRUNE_FLAGS LLVM_REFPRUNE_PASS LOOP_VECTORIZE OPT SLP_VECTORIZE USING_SVML
    """.split()  # noqa: SIM905


def sources() -> str:
    """A name for the package's sources, numba with its settings, NumPy and Python; raises
    `Opaque`.
    """
    libraries = [version(name) for name in ("numba", "llvmlite", "numpy")]
    chosen = [str(getattr(settings, name, None)) for name in _SETTINGS]
    return hashlib.sha256(repr((package(), sys.version, libraries, chosen)).encode()).hexdigest()[
        :16
    ]


def cache_folder() -> Path:
    """Where compiled code is kept; raises `OSError` where nothing can be, `Opaque` where it must
    not.
    """
    kept = kept_in()
    folder = kept / sources()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    _tidy(kept, folder)
    return folder


def _tidy(kept: Path, own: Path) -> None:
    """Remove what earlier sources left, once nothing has used it for long."""
    found = []
    for folder in kept.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it at the same time
            if (
                folder != own
                and _FOLDER.fullmatch(folder.name)
                and stat.S_ISDIR(folder.lstat().st_mode)
            ):
                mark = (folder / MARK).lstat()
                if stat.S_ISREG(mark.st_mode):
                    found.append((mark.st_mtime, folder))
    for used, folder in sorted(found, reverse=True)[KEPT:]:
        if used < time.time() - UNUSED:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove our files in a folder of ours, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _FILE.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                path.unlink()
        if [path.name for path in folder.iterdir()] == [MARK]:
            (folder / MARK).unlink()
            folder.rmdir()


class Kept:
    """What a numba dispatcher asks for compiled code, in place of numba's own cache."""

    def __init__(self, name: str, folder: Path, of: str = "") -> None:
        self.name, self.of = name, of  #: `of`: what a signature does not tell apart
        self.cache_path, self.warned = str(folder), False

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return self.name, self.of, sig, codegen.magic_tuple()  # the processor

    def _path(self, key: tuple[Any, ...]) -> Path:
        return (
            Path(self.cache_path)
            / f"{self.name}-{hashlib.sha256(str(key).encode()).hexdigest()[:16]}{ENDING}"
        )

    def has(self, sig: Any, codegen: Any) -> bool:
        """Whether there is code for a signature; whether it is whole is seen when it is loaded."""
        return self._path(self._key(sig, codegen)).is_file()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code compiled for a signature; None if there is none that is whole."""
        _runtime.rtsys.initialize(target_context)  # `refresh` loads what compiling takes, too
        key = self._key(sig, target_context.codegen())
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            data = b""
        if len(data) > _SEAL and hashlib.sha256(data[_SEAL:]).digest() == data[:_SEAL]:
            known, code = pickle.loads(data[_SEAL:])
            if known == key:
                return _results._rebuild(target_context, *code)
        # `save_overload` follows; a folder in the file's place is put out of its way, not removed.
        if path.is_dir():
            with contextlib.suppress(OSError):
                path.rename(path.with_name(f"{path.name}.aside-{uuid.uuid4().hex[:8]}"))
        return None

    def save_overload(self, sig: Any, code: Any) -> None:
        """Keep what was just compiled, where that is possible."""
        if any(not lifted.can_cache for lifted in code.lifted) or code.library.has_dynamic_globals:
            return
        key = self._key(sig, code.codegen)
        data = _dumps((key, code._reduce()))
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            try:
                partial.write_bytes(hashlib.sha256(data).digest() + data)
                os.replace(partial, path)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            if not self.warned:
                self.warned = True
                what = f"compiled code cannot be kept in {self.cache_path}: {error.strerror}"
                warnings.warn(f"{what}; each process compiles again", stacklevel=2)
