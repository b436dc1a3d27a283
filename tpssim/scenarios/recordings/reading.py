"""Recordings from files: what a file is, is seen by its content, never by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tpssim.core.errors import InputError
from tpssim.scenarios.recordings.calls import Recording, Source
from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.formats import OWN, TABLES, TEXTS, any_table, unusable
from tpssim.scenarios.recordings.gathering import gathered
from tpssim.scenarios.recordings.tables import PARQUET
from tpssim.scenarios.recordings.texts import Text

ALLOWED = "a recording that docs/recordings.md lists"


def read_recording(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    name: str | None = None,
) -> Recording:
    """The calls of a file: of a run of tpssim, a load generator, a log, a trace, or any table.

    What wrote it is seen by its content; packed files and any usual encoding are read. In a table
    that is not known `columns` says which column is which (`start`, `latency` or `end`, `status`,
    `cost`, `retry_after`, `name`), and `unit` what latencies are in; what is guessed stands in
    `source.notes`. `name`: only the calls of this name. Rows that cannot be read are counted in
    `source.unreadable`. Raises `InputError` for a file that holds no calls, and where most rows
    cannot be read.

    >>> import tpssim
    >>> from tpssim.scenarios.recordings import SQLITE_COMMITS
    >>> recording = tpssim.read_recording(SQLITE_COMMITS)
    >>> recording
    <Recording: 4,000 calls in 5.227 s (table)>
    >>> recording.source.notes[0]
    "Read as a table: start from 'start_s', latency from 'service_s'."
    """
    with closing(Text(path, f"recording {str(path)!r}", ALLOWED)) as text:
        lost = Lost()
        found = None if columns else recognised(text)
        source = Source(str(path), any_table.NAME, text.digest)
        chunks: Iterator[Chunk]
        if found is None:
            chunks = any_table.chunks(text, lost, columns, unit)
        else:
            chunks = found.chunks(text, lost)
            source = source._replace(format=found.name, notes=found.notes)
        recording = gathered(chunks, lost, source, text.shown)
        return recording if name is None else recording.named(name)


def kind_of(path: str | Path) -> str | None:
    """What a file is recognised as; None if it is not, or cannot be read."""
    try:
        with closing(Text(path, f"recording {str(path)!r}", ALLOWED)) as text:
            found = recognised(text)
    except InputError:
        return None
    return None if found is None else found.name


def known(text: Text) -> bool:
    """Whether a file is what another tool wrote, or a journal: no table that people name columns
    of.
    """
    found = recognised(text)
    return found is not None and found is not OWN


def recognised(text: Text) -> Format | None:
    """The format of a file; None if it may be any table. Raises `InputError` for what holds no
    calls.
    """
    if text.head.startswith(PARQUET):
        return next((format for format in TABLES if format.recognised(text)), None)
    unusable.refuse(text, unusable.BINARY)
    if not text.start(1):
        return None  # whoever reads it as a table says that it is empty
    found = next((format for format in (*TEXTS, *TABLES) if format.recognised(text)), None)
    if found is None:
        unusable.refuse(text, unusable.TEXTS)
    return found
