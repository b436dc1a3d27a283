"""Envoy's access log in its default form."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import dates, floats, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.texts import Text

#: Stamp, request, status, flags; then bytes received and sent, duration, that of the service.
_LINE = re.compile(
    r'\[(\d{4}-\d\d-\d\dT[^]]+)\] "([^"]*)" (\d+) (\S+) .*?(\d+) (\d+) (\d+) (?:\d+|-) "'
)
_NO_ANSWER = "0"
#: What the flags say of a call: the circuit breaker or a limit refused it, or somebody gave up.
FLAGS = {
    "UO": "429",
    "RL": "429",
    "UT": "timeout",
    "DC": "timeout",
    "SI": "timeout",
    "DT": "timeout",
}
NOTES = ("It is the proxy's view: the way to it, and queues before it, are not in it.",)


def recognised(text: Text) -> bool:
    first = text.start(10)
    return sum(_LINE.match(line) is not None for line in first) > len(first) / 2


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for batch in batches((n, line) for n, line in enumerate(text.lines(), 1) if line.strip()):
        lost.rows += len(batch)
        matches = [(number, _LINE.match(line)) for number, line in batch]
        for number, found in matches:
            if found is None:
                lost.add(number, "it is no line of Envoy's default form")
        rows = [(number, *found.groups()) for number, found in matches if found]
        if not rows:
            continue
        lines, stamps, requests, codes, flags, _, _, taken = zip(*rows, strict=True)
        start = dates(stamps)
        cells = ((_status(code, flag), "") for code, flag in zip(codes, flags, strict=True))
        yield Chunk(
            lines,
            start,
            since(start, floats(taken) / 1e3),
            np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(rows)),
            name=[request.rpartition(" ")[0].partition("?")[0] for request in requests],
        )


def _status(code: str, flags: str) -> str:
    found = next((FLAGS[flag] for flag in flags.split(",") if flag in FLAGS), code)
    return "no answer" if found == _NO_ANSWER else found


FORMAT = Format("Envoy access log", recognised, chunks, NOTES)
