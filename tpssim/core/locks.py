"""Names that one process has at a time. The locks are the system's, so that they die with their
process.

Where the system or the file system has none, nothing is locked and nothing is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tpssim.core.errors import InputError


@contextlib.contextmanager
def locked(path: Path, option: str) -> Iterator[None]:
    """Nobody else who asks may have that name meanwhile; raises `InputError` if somebody has it.

    The file of the lock, beside `path`, goes with the block, or with the next one of that name
    after a kill. A device is nobody's.
    """
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir() or (real.exists() and not real.is_dir() and not real.is_file()):
        yield
        return
    file = real.with_name(f".tpssim-lock-{hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]}")
    try:
        held = _held(file)
    except BlockingIOError:
        raise InputError(
            f"{option} {str(path)!r} is being written by another run; allowed: another {option}, or"
            " this one when that run has ended"
        ) from None
    except OSError:
        held = -1
    try:
        yield
    finally:
        if held >= 0:
            with contextlib.suppress(OSError):
                file.unlink()
            os.close(held)


def _held(path: Path) -> int:
    """A descriptor of a file that is locked and still has its name; raises `BlockingIOError`."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor)
            if still_named(descriptor, path):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has removed it just now


def still_named(descriptor: int, path: Path) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def lock(descriptor: int) -> None:
    """Lock an open file until it is closed; raises `BlockingIOError` if it is locked."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
