"""Results folders: complete or absent. This room knows files, not what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tpssim.core import InputError

#: A folder with this file was made by tpssim and may be replaced by the verb that made it.
MARK = "run.json"
LONGEST = 150  # characters of a file's name, its suffix aside


def verb_of(command: str) -> str:
    """The verb of a command as it stands in results; "" if there is none.

    >>> verb_of("python -m tpssim sweep alpha-deadzone --seed 0")
    'sweep'
    """
    words = command.split()
    return words[3] if len(words) > 3 else ""


def _made_by(out: Path) -> str:
    """The verb that made a folder; "" if tpssim did not."""
    try:
        command = json.loads((out / MARK).read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return verb_of(command) if isinstance(command, str) else ""


def check_out(out: Path, verb: str) -> None:
    """Refuse early what could not be written or must not be replaced by that verb; raises `InputError`."""
    if out.exists():
        if not out.is_dir():
            raise InputError(
                f"--out {str(out)!r} is a file; allowed: a folder that is new, empty or tpssim's"
            )
        if any(out.iterdir()) and (made := _made_by(out)) != verb:
            holds = f"the result of {made}" if made else "files that are not tpssim's"
            raise InputError(
                f"--out {str(out)!r} holds {holds}; "
                f"allowed: a folder that is new, empty or an earlier result of {verb}"
            )
    with _staging(out) as folder:
        folder.rmdir()


@contextlib.contextmanager
def _staging(out: Path) -> Iterator[Path]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        folder.chmod(0o755)
    except OSError as error:
        raise InputError(
            f"--out {str(out)!r} cannot be written: {error.strerror}; allowed: a folder that can be made"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def results_folder(out: Path, verb: str) -> Iterator[Path]:
    """A new folder to fill, put in the place of `out` in one step when the block ends well.

    An earlier result there is replaced; if the block fails, it stays as it was.
    """
    check_out(out, verb)
    with _staging(out) as folder:
        try:
            yield folder
            with tempfile.TemporaryDirectory(prefix=f".{out.name}.old.", dir=out.parent) as old:
                if out.exists():
                    os.rename(out, Path(old) / "old")
                os.rename(folder, out)
        except OSError as error:
            raise InputError(f"--out {str(out)!r} cannot be written: {error.strerror}") from error


def file_name(*parts: str, longest: int = LONGEST) -> str:
    """A name for a file from what a user may have typed; one that is too long ends with a digest of itself.

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
    """Write a file that is complete or absent: it takes its name in one step; raises `InputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(number, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def plain(value: Any) -> Any:
    """A value, or the values of a mapping, for JSON, which has neither inf nor nan: None in their place.

    >>> plain({"a": 1.5, "b": float("inf"), "c": {"d": "inf"}})
    {'a': 1.5, 'b': None, 'c': {'d': 'inf'}}
    """
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write one JSON document with a final newline."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
