"""Standard output and error as they may be: closed, full, without a reader, or of another alphabet.

What is printed for people is never worth the work that was done: nothing here loses it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

#: What is printed, for an encoding that does not have it; anything else is escaped.
PLAIN = {"±": "+-", "█": "#", "▇": "#", "▆": "#", "▅": "=", "▄": "=", "▃": "-", "▂": "-", "▁": "."}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The error handler of an encoding: the nearest in plain letters."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    escaped = (c.encode("ascii", "backslashreplace").decode("ascii") for c in lost)
    return "".join(PLAIN.get(c, e) for c, e in zip(lost, escaped, strict=True)), error.end


PLAINLY = "tpssim-plain"
codecs.register_error(PLAINLY, _plain)


class _Raw(io.FileIO):
    """A descriptor to print to: the first error is kept, and what could not be written is
    dropped.
    """

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return memoryview(data).nbytes


@contextlib.contextmanager
def sound() -> Iterator[Callable[[], OSError | None]]:
    """Streams whose errors end nothing; yields what tells, at the end, why stdout could not be
    written.
    """
    _fill_the_first()
    out, error = sys.stdout, sys.stderr
    raw = _Raw(1, "w", closefd=False)
    if out is None or out is sys.__stdout__:
        sys.stdout = _stream(raw, out)
    elif isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors=PLAINLY)
    if error is None or error is sys.__stderr__:
        sys.stderr = _stream(_Raw(2, "w", closefd=False), error)

    def lost() -> OSError | None:
        sys.stdout.flush()
        return raw.lost

    try:
        yield lost
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = out, error


def _stream(raw: _Raw, like: TextIO | None) -> TextIO:
    if like is not None:
        like.flush()
    encoding = "utf-8" if like is None else like.encoding
    by_line = raw.fileno() == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, PLAINLY, line_buffering=by_line)


def _fill_the_first() -> None:
    """Take up those of the first three descriptors that are closed, before a file becomes one of
    them.
    """
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
