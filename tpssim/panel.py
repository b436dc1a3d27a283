"""The live view, in a process of its own (`python -m tpssim.panel`): frames on stdin, lines or a panel out.

Off a terminal a line a second; on one a panel that is redrawn, by rich where it is installed.
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

from tpssim.live.tally import BINS, Histogram

BARS = " ▁▂▃▄▅▆▇█"
SPAN = 60  # points of the sparkline


class Frame(NamedTuple):
    """What has become of a run since the frame before: counts as they are, times of the stretch between."""

    numbers: dict[str, Any]
    achieved: float  #: releases, 1/s
    lateness: Histogram
    latency: Histogram


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of an `Onlooker`; ends where the last whole one does."""
    before: dict[str, Any] = {"t": 0.0, "released": 0}
    old = [array("I", bytes(4 * BINS)) for _ in range(2)]
    while line := file.readline():
        raw = file.read(8 * BINS)
        if len(raw) < 8 * BINS:
            return
        numbers = json.loads(line)
        new = [array("I", raw[: 4 * BINS]), array("I", raw[4 * BINS :])]
        seconds = numbers["t"] - before["t"]
        if seconds <= 0.0:
            continue
        achieved = (numbers["released"] - before["released"]) / seconds
        yield Frame(numbers, achieved, *(_between(a, b) for a, b in zip(old, new, strict=True)))
        before, old = numbers, new


def _between(old: array[int], new: array[int]) -> Histogram:
    histogram = Histogram()
    histogram.bins = array("I", (b - a for a, b in zip(old, new, strict=True)))
    histogram.n = sum(histogram.bins)
    histogram.most = math.inf
    return histogram


def duration(seconds: float) -> str:
    """A time in the unit that suits it; - if there is none.

    >>> duration(0.00025), duration(1.5), duration(float("nan"))
    ('250us', '1.5s', '-')
    """
    if math.isnan(seconds):
        return "-"
    if seconds < 1e-7:
        return "<0.1us"  # the clock's own grain
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds * 1e6:.3g}us"


def pair(histogram: Histogram) -> str:
    return f"{duration(histogram.quantile(0.5))}/{duration(histogram.quantile(0.99))}"


def line(frame: Frame) -> str:
    """A second of a run in a line."""
    n = frame.numbers
    text = (
        f"{n['t']:6.0f} s  {frame.achieved:8.1f}/s of {n['rate']:.4g} commanded, {n['tps']:g} wanted"
        f"  late {pair(frame.lateness)}  latency {pair(frame.latency)}"
        f"  in flight {n['in_flight']}  errors {n['errors']}"
    )
    return f"{text}  {n['why']}" if n["why"] else text


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
        print(line(frame), flush=True)


def show_panel(source: Iterator[Frame], about: dict[str, Any]) -> None:
    """A panel that is redrawn for each frame."""
    from rich.console import Console
    from rich.live import Live

    history: deque[float] = deque(maxlen=SPAN)
    with Live(console=Console(), auto_refresh=False) as live:
        for frame in source:
            history.append(frame.achieved)
            live.update(drawn(frame, history, about), refresh=True)


def drawn(frame: Frame, history: deque[float], about: dict[str, Any]) -> Any:
    """One picture of the panel."""
    from rich.panel import Panel
    from rich.table import Table

    n = frame.numbers
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row(
        "rate", f"[bold]{frame.achieved:.1f}[/]/s of {n['rate']:.4g} commanded, {n['tps']:g} wanted"
    )
    table.add_row("", f"{spark(history, max(n['tps'], *history))}")
    table.add_row("lateness", f"p50 {_named(frame.lateness)}")
    table.add_row("latency", f"p50 {_named(frame.latency)}")
    held = "" if n["limit"] is None else f" of at most {n['limit']:.4g}"
    table.add_row("in flight", f"{n['in_flight']}{held}")
    refused = f", {n['refused']:,} refused here" if n["refused"] else ""
    bad = f"[bold red]{n['errors']:,}[/]" if n["errors"] else "0"
    table.add_row("calls", f"{n['ok']:,} ok, {bad} failed ({n['drops']:,} of them dropped){refused}")
    table.add_row(about["law"], n["why"] or "has not moved yet")
    return Panel(
        table, title=_progress(n, about), title_align="left", expand=False, subtitle="Ctrl-C ends it"
    )


def _named(histogram: Histogram) -> str:
    return f"{duration(histogram.quantile(0.5))}, p99 {duration(histogram.quantile(0.99))}"


def _progress(numbers: dict[str, Any], about: dict[str, Any]) -> str:
    """How far it is, and how long it takes still at the commanded rate."""
    text, left = f"{numbers['t']:.0f} s", math.nan
    if about["total"] is not None:
        text += f", {numbers['released']:,} of {about['total']:,} calls"
        if numbers["rate"] > 0.0:
            left = (about["total"] - numbers["released"]) / numbers["rate"]
    if about["seconds"] is not None:
        left = min(about["seconds"] - numbers["t"], left if left == left else math.inf)
    return text if math.isnan(left) else f"{text}, {max(left, 0.0):.0f} s left"


def main() -> None:
    """Draw until the run ends; Ctrl-C is for the run, not for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    about = json.loads(sys.argv[1])
    source = frames(sys.stdin.buffer)
    if sys.stdout.isatty():
        try:
            show_panel(source, about)
            return
        except ModuleNotFoundError:
            pass  # without rich: lines
    show_lines(source)


if __name__ == "__main__":
    main()
