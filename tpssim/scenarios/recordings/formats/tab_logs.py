"""Logs with tabs: Yandex.Tank's phout.log, and Gatling's simulation.log up to 3.12."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import floats, integers, scaled, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.texts import Text

_PHOUT = re.compile(r"\d{10}\.\d{3}\t[^\t]*(\t-?\d+){10}$")
PHOUT_COLUMNS = 12
TIMED_OUT = "110"  # the net code of ETIMEDOUT


def _is_phout(text: Text) -> bool:
    return _PHOUT.match(text.start(1)[0]) is not None


def _phout(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for batch in batches(enumerate(text.lines(), 1)):
        lost.rows += len(batch)
        cut = [(number, line.rstrip("\r\n").split("\t")) for number, line in batch]
        for number, cells in cut:
            if len(cells) != PHOUT_COLUMNS:
                lost.add(number, f"{len(cells)} columns of {PHOUT_COLUMNS}")
        rows = [(number, *cells) for number, cells in cut if len(cells) == PHOUT_COLUMNS]
        if not rows:
            continue
        lines, stamps, tags, took, *_, net, proto = zip(*rows, strict=True)
        start = scaled(integers([stamp.replace(".", "") for stamp in stamps]), "ms")
        said = (
            (code, "" if error == "0" else "timeout" if error == TIMED_OUT else f"net {error}")
            for code, error in zip(proto, net, strict=True)
        )
        yield Chunk(
            lines,
            start,
            since(start, floats(took) / 1e6),
            np.fromiter(map(outcomes.__getitem__, said), np.int8, len(rows)),
            name=[tag.partition("#")[0] for tag in tags],
        )


def _is_gatling(text: Text) -> bool:
    return text.start(1)[0].split("\t")[0] in ("RUN", "ASSERTION", "REQUEST", "USER")


def _gatling(text: Text, lost: Lost) -> Iterator[Chunk]:
    requests = (
        (number, line.rstrip("\r\n").split("\t"))
        for number, line in enumerate(text.lines(), 1)
        if line.startswith("REQUEST\t")
    )
    outcomes = Outcomes()
    for batch in batches(requests):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[str, str, str, tuple[str, str]]] = []
        for number, cells in batch:
            # Versions differ in what stands before: scenario, user.
            at = next((i for i in (5, 6, 7) if cells[i : i + 1] in (["OK"], ["KO"])), 0)
            if not at:
                lost.add(number, "it has no OK or KO")
                continue
            lines.append(number)
            message = "" if cells[at] == "OK" else " ".join(cells[at + 1 :]).strip() or "KO"
            refused = re.search(r"found (429|503|529)", message)
            status = refused[1] if refused else "" if message else "ok"
            rows.append((cells[at - 3], cells[at - 2], cells[at - 1], (status, message)))
        if rows:
            names, starts, ends, said = zip(*rows, strict=True)
            yield Chunk(
                lines,
                scaled(integers(starts), "ms"),
                scaled(integers(ends), "ms"),
                np.array([outcomes[cells_] for cells_ in said], np.int8),
                name=names,
            )


PHOUT = Format("phout.log of Yandex.Tank", _is_phout, _phout)
GATLING = Format("simulation.log of Gatling", _is_gatling, _gatling)
