"""The page: a folder's sections in the template, with its style and its script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tpssim.core.statistics import EACH, assumption
from tpssim.output.html import sections
from tpssim.output.html.blocks import Block, Command, Facts, Heading, Paragraph, Section
from tpssim.output.html.cells import WORD_MEANINGS
from tpssim.output.html.compared import Progress
from tpssim.output.html.generic import generic
from tpssim.output.html.ranked import BEHIND
from tpssim.output.html.reading import Result, read_result
from tpssim.output.html.rendering import rendered
from tpssim.output.records import (
    AnalyseRecord,
    CompareRecord,
    FitRecord,
    LeagueRecord,
    LiveRecord,
    RecommendRecord,
    Record,
    ReplayRecord,
    ServicesRecord,
    SimulateRecord,
    SweepRecord,
    TuneRecord,
)
from tpssim.output.spans import Span, Text

Show = Callable[[Result[Any], Progress], Iterable[Section]]


def _silent(done: int, total: int) -> None:
    pass


def page(folder: Path, progress: Progress = _silent) -> str:
    """One self-contained HTML page of a results folder; raises `InputError`.

    It shows what the folder holds and runs nothing; `progress(done, total)` is called as pictures
    are drawn.
    """
    result = read_result(folder)
    kind = result.record.kind
    show: Show = sections.KINDS.get(kind, sections.other)
    body = [*show(result, progress), *_definitions(result.record), _provenance(result)]
    return rendered(
        "page.html",
        verb=kind,
        heading=_heading(result),
        made=_made(result),
        command=Command(result.run["command"]),
        sections=body,
    )


def _heading(result: Result[Record]) -> str:
    match result.record:
        case CompareRecord(scenarios=arenas):
            throttles = {label for arena in arenas.values() for label in arena["throttles"]}
            own = [name for name, arena in arenas.items() if "drawn_from" not in arena]
            where = own[0] if len(own) == 1 else f"{len(own)} scenarios"
            return f"{len(throttles)} throttle{'s' if len(throttles) > 1 else ''} on {where}"
        case LeagueRecord(standings=standings, halves=halves):
            return f"{len(standings)} throttles on {len(halves)} scenarios, ranked"
        case ServicesRecord(standings=standings, services=served):
            number = len({row["service"] for row in served})
            return f"{len(standings)} throttles on {number} services at random"
        case TuneRecord(controller=law, scenarios=names):
            return f"{law} tuned on {names[0] if len(names) == 1 else f'{len(names)} scenarios'}"
        case ReplayRecord(recording=recording, numbers=numbers):
            rivals = len(numbers) - 2  # beside the recorded law, live and simulated
            return f"{recording['controller']}, live, decided again" + (
                f"; and what {rivals} other law{'s' if rivals > 1 else ''} would have done"
                if rivals > 0
                else ""
            )
        case (
            SimulateRecord(controller=law, scenario=scenario)
            | SweepRecord(controller=law, scenario=scenario)
            | AnalyseRecord(controller=law, scenario=scenario)
        ):
            return f"{law} on {scenario}"
        case FitRecord(scenario=scenario):
            return f"{scenario['name']}, learned from a recording"
        case RecommendRecord(said=said):
            return said
        case LiveRecord(controller=law):
            return f"{law}, live"
    return result.folder.resolve().name


def _made(result: Result[Record]) -> str:
    record, run = result.record, result.run
    parts = [f"made {run.get('made', '')} by tpssim {run['tpssim']}"]
    if isinstance(record, CompareRecord | LeagueRecord | SweepRecord | TuneRecord | AnalyseRecord):
        parts.append(f"{record.replications} replications each")
    if isinstance(record, CompareRecord | LeagueRecord | SweepRecord):
        parts.append(f"±: {assumption(record.replications)}")
    if isinstance(record, LeagueRecord):
        parts.append(f"± of what is behind the first: {BEHIND}")
    if isinstance(record, ServicesRecord):
        parts.append(f"±: {record.assumption}")
    if isinstance(record, TuneRecord):
        parts.append(f"±: {100.0 * EACH:.4g} % for the median of fresh runs, however they spread")
    return "; ".join(parts)


def _definitions(record: Record) -> Iterator[Section]:
    """Every word of the page, and every number that has no definition beside it."""
    blocks: list[Block] = []
    if record.kind in ("compare", "league", "sweep", "simulate", "tune"):
        words: list[tuple[Text, Text]] = [
            ([Span(word, "verdict")], meaning) for word, meaning in WORD_MEANINGS.items()
        ]
        blocks += [Heading("Verdicts"), Facts(words, "detail")]
    known = {} if record.kind in ("simulate", "replay") else record.defined()
    if known:
        rows: list[tuple[Text, Text]] = []
        for name, about in known.items():
            source = [Span(" "), Span(f"({about['source']})", "small")] if "source" in about else []
            unit = Span(about.get("unit", ""), "small")
            rows.append(([Span(name), Span(" "), unit], [Span(about["definition"]), *source]))
        blocks += [Heading("Measures"), Facts(rows, "detail")]
    if blocks:
        yield Section("Definitions", blocks)


def _provenance(result: Result[Record]) -> Section:
    """What made the numbers, and how to make them again."""
    known = {
        k: v
        for k, v in result.record.to_dict().items()
        if not isinstance(v, dict | list) and k not in ("kind", "command", "sensitivity")
    }
    run = {k: v for k, v in result.run.items() if k not in ("command", "files")}
    again = Paragraph("The command that makes these numbers again:")
    blocks = [again, Command(result.run["command"]), *generic({**known, **run})]
    return Section("Configuration and versions", blocks)
