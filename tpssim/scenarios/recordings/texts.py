"""Files as people have them: packed or not, in any usual encoding, larger than the memory.

Standard library only.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from tpssim.core.errors import InputError

BLOCK = 1 << 20  # bytes that are read at once
HEAD = 1 << 16  # bytes by which a file is recognised
_BOMS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP = b"\x1f\x8b"
#: Every byte but the control characters that no text has.
_PLAIN = bytes(i for i in range(256) if not (i < 9 or 14 <= i < 32))


class Text:
    """A file that can be walked over more than once.

    `shown` is what errors call it, `allowed` what they say may be given. What cannot be read twice,
    a pipe, is copied to a temporary file. Raises `InputError` while it is read, too.
    """

    def __init__(self, path: str | Path, shown: str, allowed: str = "a CSV file") -> None:
        self.path, self.shown, self.allowed = Path(path), shown, allowed
        self._copy: Any | None = None
        self._walks: list[Generator[str, None, None]] = []
        with self._refusing():
            if self.path.exists() and not self.path.is_file() and not self.path.is_dir():
                self._copy = tempfile.NamedTemporaryFile()  # noqa: SIM115  # it lives as long as this
                with open(self.path, "rb") as pipe:
                    shutil.copyfileobj(pipe, self._copy)
                self._copy.flush()
            self.head = self._head()

    def _raw(self) -> BufferedReader:
        """The bytes as they are."""
        return open(self.path if self._copy is None else self._copy.name, "rb")

    @contextmanager
    def binary(self) -> Iterator[BinaryIO]:
        """The bytes, unpacked."""
        with self._raw() as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as file:
                    yield file  # type: ignore[misc]
            else:
                yield raw

    def _head(self) -> bytes:
        with self.binary() as file:
            return file.read(HEAD)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What cannot be read becomes one line."""
        try:
            yield
        except (OSError, EOFError, zlib.error, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text file"
            raise InputError(
                f"{self.shown} cannot be read: {reason}; allowed: {self.allowed}"
            ) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its bytes, as they are."""
        with self._refusing(), self._raw() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def encoding(self) -> str:
        """How it is encoded; raises `InputError` for what is no text."""
        with self._refusing():
            found = _marked(self.head)
            if found:
                self._check(found)
                return found
            try:
                self._check("utf-8")
            except UnicodeDecodeError:
                self._check("cp1252")  # as spreadsheets of western Europe write it
                return "cp1252"
            return "utf-8"

    def _check(self, encoding: str) -> None:
        """Raise `UnicodeError` where it is no text of this encoding."""
        decoder = codecs.getincrementaldecoder(encoding)()
        wide = "16" in encoding or "32" in encoding
        with self.binary() as file:
            while block := file.read(BLOCK):
                text = decoder.decode(block)
                if (text.encode() if wide else block).translate(None, _PLAIN):
                    raise UnicodeError("control characters")
            decoder.decode(b"", final=True)

    def close(self) -> None:
        """End all walks over it, whole or not: a file is not left open to the garbage collector."""
        for walk in self._walks:
            walk.close()
        if self._copy is not None:
            self._copy.close()

    def lines(self) -> Iterator[str]:
        """Its lines, with their ends as they are."""
        self._walks.append(self._lines())
        return self._walks[-1]

    def blocks(self) -> Iterator[str]:
        """Its text, piece by piece."""
        self._walks.append(self._blocks())
        return self._walks[-1]

    def _lines(self) -> Generator[str, None, None]:
        encoding = self.encoding
        with (
            self._refusing(),
            self.binary() as file,
            io.TextIOWrapper(file, encoding, newline="") as text,
        ):
            yield from text

    def _blocks(self) -> Generator[str, None, None]:
        encoding = self.encoding
        with (
            self._refusing(),
            self.binary() as file,
            io.TextIOWrapper(file, encoding) as text,
        ):
            while block := text.read(BLOCK):
                yield block

    def start(self, lines: int = 50) -> list[str]:
        """Its first lines that hold something, without their ends, as far as `head` goes."""
        encoding = self.encoding
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        found = decoder.decode(self.head).splitlines()
        if len(self.head) == HEAD and len(found) > 1:
            found.pop()  # it may be cut
        return [line for line in found if line.strip()][:lines]


def _marked(data: bytes) -> str:
    """The encoding that the first bytes of a text tell; "" if they tell none."""
    found = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not found and data[1:2] == b"\0" != data[:1]:
        found = "utf-16-le"  # every other byte of a Latin text is 0
    elif not found and data[:1] == b"\0" != data[1:2]:
        found = "utf-16-be"
    return found
