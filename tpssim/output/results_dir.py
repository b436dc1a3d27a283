"""Results folders: complete or absent, and known to be ours before they are replaced.

This module knows files, not what is in them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tpssim.core.errors import InputError

#: A folder with this file was made by tpssim; it names every file that was written with it.
MARK = "run.json"
COMMAND = "python -m tpssim "  # how the command in one of an earlier version begins
LONGEST = 150  # characters of a file's name, its suffix aside
PAGE = b'<meta name="generator" content="tpssim">'  # in the first lines of every page of `report`
FOREIGN = "files that are not tpssim's"
OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}  # which file managers leave everywhere
#: What is not finished yet is in a folder of this name beside what it will be, with this file in
#: it.
UNFINISHED = re.compile(r"\.tpssim-unfinished-[a-z0-9_]{8}")
STAGED = (
    "made-by-tpssim",
    "Here tpssim makes a file or a folder; a later command removes what is left of it.\n",
)
ABANDONED = 86400.0  # s, for which none is at work on it


def _verb_of(run: Mapping[str, Any]) -> str:
    """The verb that a run says it was of; "" if it says none.

    >>> _verb_of({"tpssim": "0.1.0", "verb": "sweep", "command": "..."})
    'sweep'
    """
    if isinstance(verb := run.get("verb"), str) and "tpssim" in run:
        return verb
    words = run["command"].split()  # earlier versions said it there alone
    return words[3] if run["command"].startswith(COMMAND) and len(words) > 3 else ""


def _made_by(out: Path) -> tuple[str, set[str]]:
    """The verb that made a folder ("" if tpssim did not), and what it wrote (nothing if it made no
    list).
    """
    try:
        run = json.loads((out / MARK).read_text(encoding="utf-8"))
        return _verb_of(run), {MARK, *run["files"]} if "files" in run else set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", set()


def is_page(path: Path) -> bool:
    """Whether a file is a page of `report`, which may be replaced."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return PAGE in file.read(1000)


def _files(folder: Path) -> list[str]:
    """Everything in a folder, but for folders with something in them, by its path in there."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    )


def _stranger(out: Path, written: set[str]) -> str:
    """A file in a results folder that tpssim did not write; "" if there is none."""
    for name in _files(out):
        path = out / name
        if (
            name not in written
            and path.name not in OF_THE_SYSTEM
            and not (path.suffix == ".html" and is_page(path))
        ):
            return name
    return ""


def _taken(out: Path, verb: str) -> str:
    """What keeps a folder from being replaced by that verb; "" if nothing does."""
    if not os.path.lexists(out):
        return ""
    if not out.is_dir():
        return "is a file; allowed: a folder that is new, empty or tpssim's"
    if os.path.ismount(out) or Path.cwd().is_relative_to(out):
        return "is the current folder or a mount point; allowed: a folder that can be replaced"
    if not any(out.iterdir()):
        return ""
    made, written = _made_by(out)
    allowed = f"allowed: a folder that is new, empty or an earlier result of {verb}"
    if made != verb:
        return f"holds {f'the result of {made}' if made else FOREIGN}; {allowed}"
    if not written:
        return (
            f"holds a result of {verb} by a version that did not list its files, so that yours are"
            " not known from them; allowed: another --out, or this one when you have removed it"
        )
    stranger = _stranger(out, written)
    return (
        f"holds {stranger!r} too, which tpssim did not write there; {allowed}" if stranger else ""
    )


def check_out(out: Path, verb: str) -> None:
    """Refuse early what could not be written or must not be replaced by that verb; raises
    `InputError`.
    """
    with _named(out):
        real = through_links(out)
        recover(real)
        if taken := _taken(real, verb):
            raise InputError(f"--out {str(out)!r} {taken}")
        with _staging(real.parent):
            _clear(real.parent)


def through_links(out: Path) -> Path:
    """The file or folder that is meant: a link stays a link, and what it points to is written."""
    return Path(os.path.realpath(out))


@contextlib.contextmanager
def _named(out: Path) -> Iterator[None]:
    """An error of the file system in one line that names the folder."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"--out {str(out)!r} cannot be written: {error.strerror or error}; "
            "allowed: a folder that can be made, with room for what is written"
        ) from error


@contextlib.contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, which is gone with all that is in it when the block ends.

    Only this user may look into it. What is made in there has the rights that the user's umask
    gives.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".tpssim-unfinished-", dir=parent))
    name, text = STAGED
    try:
        (folder / name).write_bytes(text.encode())
        yield folder
    finally:
        _discard(folder)


def _discard(folder: Path) -> None:
    """Remove a folder of `_staging`: what says that it is one goes last, for the process may be
    killed.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != STAGED[0]:
                path.unlink()
        if [path.name for path in folder.iterdir()] == [STAGED[0]]:
            (folder / STAGED[0]).unlink()
        folder.rmdir()


def _abandoned(path: Path) -> bool:
    """Whether it is a folder of `_staging`, with its mark or empty, at which nobody is at work any
    more.
    """
    if not UNFINISHED.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    inside, mark = list(path.iterdir()), path / STAGED[0]
    if inside and not (mark.is_file() and mark.read_bytes() in (b"", STAGED[1].encode())):
        return False
    return time.time() - max(there.lstat().st_mtime for there in (path, *inside)) > ABANDONED


def _clear(parent: Path) -> None:
    """Remove what runs that were killed left unfinished in a folder."""
    for path in parent.iterdir():
        with contextlib.suppress(OSError):  # another user's, say
            if _abandoned(path):
                _discard(path)


@contextlib.contextmanager
def results_folder(out: Path, verb: str) -> Iterator[Path]:
    """A new folder to fill, put in the place of `out` in one step when the block ends well.

    An earlier result there is replaced; if the block fails, or the process is killed, it stays as
    it was.
    """
    check_out(out, verb)
    real = through_links(out)
    with _named(out), _staging(real.parent) as staging:
        folder = staging / "result"
        folder.mkdir()
        yield folder
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        write_json(folder / MARK, {**mark, "files": _files(folder)})
        if taken := _taken(real, verb):  # since it was looked at first
            raise InputError(f"--out {str(out)!r} {taken}")
        _put(folder, real)


def _parked(out: Path) -> Path:
    """Where a folder is while another one takes its name, if that needs two steps."""
    return out.with_name(f".{out.name}.tpssim-old")


def _put(new: Path, out: Path) -> None:
    """`new` takes the name of `out`; a folder that had it has the name of `new` afterwards, or is
    gone.
    """
    if out.exists() and not any(out.iterdir()):
        out.rmdir()
    if not out.exists():
        os.rename(new, out)
    elif not _exchanged(new, out):
        parked = _parked(out)
        if os.path.lexists(parked):
            raise FileExistsError(errno.EEXIST, f"{parked.name!r} beside it is in the way")
        os.rename(out, parked)
        try:
            os.rename(new, out)
        finally:
            recover(out)


def _exchanged(one: Path, other: Path) -> bool:
    """Two names swapped in one step, where the system and the file system know how (Linux)."""
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(swap(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def recover(out: Path) -> None:
    """Finish what a process left that was killed while it replaced `out` in two steps.

    The earlier result takes its name again if nothing else has it, and is removed if the new one
    has. What is no result, or holds more, stays where it is.
    """
    parked = _parked(out)
    made, written = _made_by(parked)
    if made and not os.path.lexists(out):
        os.rename(parked, out)
    elif written and not _stranger(parked, written):
        with _staging(out.parent) as folder:  # so that no half of it is ever found under its name
            os.rename(parked, folder / "old")


def file_name(*parts: str, longest: int = LONGEST) -> str:
    """A name for a file from what a user may have typed; one that is too long ends with a digest of
    itself.

    >>> file_name("drift", "aimd:dec_rate=0.5")
    'drift--aimd_dec_rate=0.5'
    """
    text = "--".join(parts)
    name = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in text)
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: longest - 9]}-{digest}"


def write_whole(path: Path, text: str) -> None:
    """Write a file that is complete or absent: it takes its name in one step; raises
    `InputError`.
    """
    real = through_links(path)
    try:
        with _staging(real.parent) as folder:
            _clear(real.parent)
            (folder / "new").write_text(text, encoding="utf-8")
            os.replace(folder / "new", real)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def plain(value: Any) -> Any:
    """A value, or the values of a mapping, for JSON, which has neither inf nor nan: None in their
    place.

    >>> plain({"a": 1.5, "b": float("inf"), "c": {"d": "inf"}})
    {'a': 1.5, 'b': None, 'c': {'d': 'inf'}}
    """
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write one JSON document with a final newline."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
