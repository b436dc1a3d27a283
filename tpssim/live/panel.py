"""The live monitor's process (`python -m tpssim.live.panel`): it reads frames and writes lines or a
panel.

On a terminal it redraws a panel, if rich is installed; else it writes a line a second.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from tpssim.core.streams import sound
from tpssim.core.types import record
from tpssim.live.bounded_counts import BINS, Histogram
from tpssim.output import format

BARS = " ▁▂▃▄▅▆▇█"
SPAN = 60  # points of the sparkline
ROOM = 5  # columns at the right of the panel
WIDEST = 80  # characters of a line
INTERVALS = 4.0  # of the wanted rate; the achieved rate is averaged over at least so many


@record
class Frame(NamedTuple):
    """A run's counts so far, and its latencies and lateness since the last frame."""

    numbers: dict[str, Any]
    achieved: float  #: releases, 1/s, over at least `INTERVALS`
    lateness: Histogram
    latency: Histogram


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a `LiveMonitor`; ends after the last whole one."""
    seen = deque([(0.0, 0)])  # (when, calls released until then), as far back as the average goes
    last = 0.0
    old = [array("I", bytes(4 * BINS)) for _ in range(2)]
    while line := file.readline():
        raw = file.read(8 * BINS)
        if len(raw) < 8 * BINS:
            return
        numbers = json.loads(line)
        new = [array("I", raw[: 4 * BINS]), array("I", raw[4 * BINS :])]
        if numbers["t"] <= last:
            continue
        last = numbers["t"]
        achieved = _achieved(seen, last, numbers["released"], numbers["tps"])
        yield Frame(numbers, achieved, *(_between(a, b) for a, b in zip(old, new, strict=True)))
        old = new


def _achieved(seen: deque[tuple[float, int]], t: float, released: int, wanted: float) -> float:
    """Releases a second until `t`; drops what is too old for the average.

    The last call counts with the whole interval that it begins, even if that is not over: one call
    at the start of a run is not one call a second.
    """
    interval = 1.0 / wanted if wanted > 0.0 else 0.0
    while len(seen) > 1 and seen[1][0] <= t - INTERVALS * interval:
        seen.popleft()
    begun, before = seen[0]
    seen.append((t, released))
    seconds, calls = t - begun, released - before
    return calls / max(seconds, min(calls * interval, seconds + interval))


def _between(old: array[int], new: array[int]) -> Histogram:
    histogram = Histogram()
    histogram.bins = array("I", (b - a for a, b in zip(old, new, strict=True)))
    histogram.n = sum(histogram.bins)
    histogram.most = math.inf
    return histogram


def pair(histogram: Histogram, between: str = "/") -> str:
    """Its median and its 99th percentile."""
    return between.join(format.seconds(histogram.quantile(q)) for q in (0.5, 0.99))


def line(frame: Frame) -> str:
    """A second of a run in a line; what does not fit is left out."""
    n = frame.numbers
    text = f"{n['t']:5.0f} s {frame.achieved:8.1f}/s{_asked(n)}"
    latency = f"  latency {pair(frame.latency)}"
    for more in (*_counts(n, WIDEST - len(text) - len(latency)), latency):
        text += more if len(text) + len(more) <= WIDEST else ""
    room = WIDEST - len(text) - 2
    if not n["why"] or room < 20:
        return text[:WIDEST]
    return f"{text}  {n['why'] if len(n['why']) <= room else n['why'][: room - 3] + '...'}"


def _asked(n: dict[str, Any]) -> str:
    """The commanded and the wanted rate, if there are any; the wanted one if they are equal.

    >>> _asked({"rate": 80.0, "tps": 100.0}), _asked({"rate": 100.0, "tps": 100.0})
    (' of 80 commanded, 100 wanted', ' of 100 wanted')
    >>> _asked({"rate": math.inf, "tps": math.inf})
    ', no rate is wanted'
    """
    if n["rate"] == n["tps"] < math.inf:
        return f" of {format.number(n['tps'])} wanted"
    commanded = f" of {format.number(n['rate'])} commanded" if n["rate"] < math.inf else ""
    return (
        f"{commanded}, {format.number(n['tps'])} wanted"
        if n["tps"] < math.inf
        else f"{commanded}, no rate is wanted"
    )


def spark(values: deque[float], top: float) -> str:
    """Values as bars; the highest bar is `top` or more.

    >>> spark(deque([0.0, 50.0, 100.0]), 100.0)
    ' ▄█'
    """
    most = len(BARS) - 1
    return "".join(BARS[max(0, min(most, round(value / top * most)))] for value in values)


def show_lines(source: Iterator[Frame]) -> None:
    """A line for each frame."""
    for frame in source:
        for said in (*frame.numbers["said"], line(frame)):
            print(said, flush=True)


def show_panel(source: Iterator[Frame], about: dict[str, Any]) -> None:
    """A panel that is redrawn for each frame."""
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.live import Live
    from rich.text import Text

    history: deque[float] = deque(maxlen=SPAN)
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        for frame in source:
            for said in frame.numbers["said"]:
                # Above the panel, which this call draws again with the same options. As a `Text`,
                # because with `markup=False` the panel would show its own marks.
                console.print(Text(said))
            history.append(frame.achieved)
            # A terminal shows ^C at the cursor, so the last line needs space for it.
            panel = Constrain(drawn(frame, history, about), console.width - ROOM)
            live.update(panel, refresh=True)


def drawn(frame: Frame, history: deque[float], about: dict[str, Any]) -> Any:
    """One picture of the panel."""
    from rich.panel import Panel
    from rich.table import Table

    n = frame.numbers
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("rate", f"[bold]{frame.achieved:.1f}[/]/s{_asked(n)}")
    top = max(0.0 if n["tps"] == math.inf else n["tps"], *history)
    table.add_row("", spark(history, top or 1.0))
    table.add_row("lateness", f"p50 {pair(frame.lateness, ', p99 ')}")
    table.add_row("latency", f"p50 {pair(frame.latency, ', p99 ')}")
    held = "" if n["limit"] is None else f" of at most {format.number(n['limit'])}"
    table.add_row("in flight", f"{n['in_flight']}{held}")
    table.add_row("calls", _outcomes(n, "[bold red]{}[/]"))
    table.add_row(about["law"], n["why"] or "has not moved yet")
    return Panel(
        table,
        title=_progress(n, about),
        title_align="left",
        expand=False,
        subtitle="Ctrl-C ends it",
    )


def _kinds(n: dict[str, Any]) -> list[tuple[str, int]]:
    """What went wrong with ended calls, and how often."""
    failed = n["errors"] - n["timed_out"] - n["refused_by_service"]
    refused = "refused by the service", n["refused_by_service"]
    kinds = [("failed", failed), ("timed out", n["timed_out"]), refused]
    return [(what, count) for what, count in kinds if count]


def _counts(n: dict[str, Any], room: int) -> list[str]:
    """The outcomes of the calls, in short; where there is room also those in flight, errors by
    kind, and the total.
    """
    kinds = [f" + {count:,} {what.removesuffix(' by the service')}" for what, count in _kinds(n)]
    errors = [f" + {n['errors']:,} errors"] if n["errors"] else []
    rest = [f" + {n['forgotten']:,} forgotten"] if n["forgotten"] else []
    rest.append(f" + {n['in_flight']:,} in flight")
    ok = f"  {n['ok']:,} ok"
    total = f"  calls {n['released']:,} = {n['ok']:,} ok"
    forms = [total, *kinds, *rest], [ok, *kinds, *rest], [ok, *errors, *rest], [ok, *errors]
    return next((parts for parts in forms if sum(map(len, parts)) <= room), forms[-1])


def _outcomes(n: dict[str, Any], bad: str) -> str:
    """The outcomes of all released calls; outcomes that no call had are left out."""
    parts = [
        f"{n['ok']:,} ok",
        *(f"{bad.format(f'{count:,}')} {what}" for what, count in _kinds(n)),
    ]
    parts += [f"{n['forgotten']:,} forgotten"] if n["forgotten"] else []
    parts.append(f"{n['in_flight']:,} in flight")
    here = f"; {n['refused']:,} slots refused here" if n["refused"] else ""
    return f"{n['released']:,} = {' + '.join(parts)}{here}"


def _progress(numbers: dict[str, Any], about: dict[str, Any]) -> str:
    """The progress, and the time left at the commanded rate."""
    text, left = f"{numbers['t']:.0f} s", math.nan
    if about["total"] is not None:
        text += f", {numbers['released']:,} of {about['total']:,} calls"
        if 0.0 < numbers["rate"] < math.inf:
            left = (about["total"] - numbers["released"]) / numbers["rate"]
    if about["seconds"] is not None:
        left = min(about["seconds"] - numbers["t"], left if left == left else math.inf)
    return text if math.isnan(left) else f"{text}, {max(left, 0.0):.0f} s left"


def main() -> None:
    """Draw until the run ends; Ctrl-C is for the run, not for this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    about = json.loads(sys.argv[1])
    source = frames(sys.stdin.buffer)
    with sound():  # the run goes on even if its view fails
        if sys.stdout.isatty():
            try:
                show_panel(source, about)
                return
            except ModuleNotFoundError:
                pass  # without rich: lines
        show_lines(source)


if __name__ == "__main__":
    main()
