"""What a page tells of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tpssim.output import format
from tpssim.output.columns import columns as columns_of
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Block,
    Facts,
    Figure,
    Figures,
    Folded,
    Items,
    Legend,
    Paragraph,
    Section,
    Sortable,
)
from tpssim.output.html.cells import estimate, every, heads, names, verdict, words
from tpssim.output.html.generic import generic
from tpssim.output.html.reading import Result
from tpssim.output.over_draws import draws_table
from tpssim.output.pictures import read_picture
from tpssim.output.plots import Scales
from tpssim.output.records import CompareRecord, parts
from tpssim.output.records.comparisons import ScenarioPart, Verdicts
from tpssim.output.spans import Span, spans, strong
from tpssim.output.tables import Cell, Column, Table, Value
from tpssim.output.verdict_words import WORDS

#: Measures that stand in the first table of a scenario.
SHOWN = columns_of("achieved", "swing", "recovery_time", "response_p99", "drift", "spin_cpu")
SHARED = columns_of("fairness", "time_to_fairness")
LATE = columns_of("achieved", "burst_100ms", "caught_up", "re_anchored", "skipped", "response_p99")
Progress = Callable[[int, int], None]


def _verdict(cell: Mapping[str, Any]) -> Cell:
    found = cell["verdict"]
    runs = len(found["replications"])
    bursts, remark = ("*", f"; {found['remark']}") if found.get("remark") else ("", "")
    return verdict(
        found["word"], f"{format.out_of(found['share'], runs)}{bursts}", found["reason"] + remark
    )


def _by_word(verdicts: Mapping[str, str]) -> Items:
    """Which came to which verdict, best first."""
    items = []
    for word in reversed(WORDS):
        found = [name for name, verdict in verdicts.items() if verdict == word]
        if found:
            listed = [span for name in found for span in (Span(", "), strong(name))]
            items.append([Span(word, "verdict"), Span(" "), *listed[1:]])
    return Items(items, "words")


def compare(result: Result[CompareRecord], progress: Progress) -> Iterator[Section]:
    arenas = {k: one for k, one in result.record.scenarios.items() if "drawn_from" not in one}
    figures = {
        figure.get("scenario"): figure
        for figure in result.record.figures
        if figure["name"] == "rates"
    }
    labels = list(dict.fromkeys(label for arena in arenas.values() for label in arena["throttles"]))
    if len(arenas) > 1:  # a single one's own section begins with the verdicts
        yield Section("At a glance", _matrix(arenas, labels))
    yield from _late(result, arenas)
    total, done = sum(len(arena["throttles"]) for arena in arenas.values()), 0
    for name, arena in arenas.items():
        figure = figures.get(name)
        pictures = {} if figure is None else _pictures(result, figure)
        axes = drawings.shared_axes([*pictures.values()]) if pictures else None
        panels = []
        for label, cell in arena["throttles"].items():
            if axes is not None and label in pictures:
                panels.append(_panel(pictures[label], axes, name, label, cell))
            done += 1
            progress(done, total)
        drawn: list[Block] = []
        if len(panels) == len(arena["throttles"]):
            keys = drawings.legend([*pictures.values()])
            drawn = [Legend(keys), Figures(panels, "panels")]
        elif figure is not None and (png := result.folder / figure["file"]).is_file():
            image = drawings.embedded(png, f"{name}: rates over time")
            drawn = [Figure(image, "", "wide")]
        else:
            drawn = [Paragraph("No traces and no picture are in the folder.")]
        yield Section(name, _scenario(result, name, arena, drawn))
    for name, found in result.record.over_draws.items():
        rows = (([label], over) for label, over in found.items())
        table = draws_table(name, [names("throttle")], rows)
        yield Section(f"{name}: services that may have been it", over_draws(table))
    if twins := result.record.twins:
        shown = [
            f"{t['printed']} and {t['law']}: the same trajectory to the bit in {t['equal']} of"
            f" {t['runs']} runs ({t['calls']:,} calls)"
            for t in twins
        ]
        yield Section("Printed throttles and their laws", [Items(shown)])


def over_draws(table: Table) -> list[Block]:
    """What a fit leaves open, as a spread of the measures."""
    about = (
        "Each is drawn from the intervals of the fit: what holds on all of them does not hang on"
        " what the recording left open."
    )
    return [Paragraph(f"{table.title}. {about}"), Sortable(table)]


def _matrix(arenas: Mapping[str, Any], labels: Sequence[str]) -> list[Block]:
    good = Counter(
        label
        for arena in arenas.values()
        for label, cell in arena["throttles"].items()
        if cell["verdict"]["word"] == "converges"
    )
    columns = [
        names("throttle"),
        Column("converges", detail="on how many scenarios the majority of the runs converges"),
        *(words(name, arena["summary"]) for name, arena in arenas.items()),
    ]
    rows: list[list[Value]] = [
        [
            label,
            Cell(f"{good[label]} of {len(arenas)}", float(good[label])),
            *(
                _verdict(arena["throttles"][label]) if label in arena["throttles"] else None
                for arena in arenas.values()
            ),
        ]
        for label in labels
    ]
    most = max(good.values(), default=0)
    best = [label for label in labels if good[label] == most]
    lead = Paragraph(
        [
            Span(f"Converges on most scenarios, {most} of {len(arenas)}: "),
            strong(", ".join(best)),
            Span("."),
        ]
    )
    matrix = Sortable(Table("verdicts", columns, rows), "matrix")
    return [*([lead] if most else []), matrix]


def _pictures(result: Result[CompareRecord], figure: parts.Figure) -> dict[str, drawings.Picture]:
    """The first run of each throttle whose trace is there."""
    files = figure.get("traces", {})
    found = {label: read_picture(result.folder / file) for label, file in files.items()}
    return {label: picture for label, picture in found.items() if picture is not None}


def _panel(
    picture: drawings.Picture,
    axes: Scales,
    scenario: str,
    label: str,
    cell: Mapping[str, Any],
) -> Figure:
    """The picture of one throttle among those of its scenario."""
    caption = [strong(label), Span(" "), *spans(_verdict(cell).shown)]
    shown = f"{label} on {scenario}: rates over time; {cell['verdict']['reason']}"
    return Figure(drawings.panel(picture, shown, axes), caption)


def _target(arena: ScenarioPart) -> str:
    """What is wanted, in the words of the table on a terminal."""
    if "arrivals" in arena:
        late, arrivals = arena.get("arrivals_after_end", 0), arena["arrivals"]
        many = f"{arrivals - late:,} of {arrivals:,}" if late else f"{arrivals:,}"
        return f"{many} recorded arrivals"
    return arena["stages"] if "stages" in arena else f"{arena['target']:g}/s"


def _scenario(
    result: Result[CompareRecord], name: str, arena: ScenarioPart, drawn: Sequence[Block]
) -> list[Block]:
    definitions = result.record.defined()
    cells = arena["throttles"]
    wanted = f"wanted {_target(arena)} for {arena['duration']:g} s"
    lead = Paragraph(arena["summary"], wanted) if arena["summary"] else Paragraph(wanted)
    shown = {**SHOWN, **(SHARED if len(arena["producers"]) > 1 else {})}
    shown = {metric: how for metric, how in shown.items() if metric in definitions}
    columns = [
        names("throttle"),
        words("verdict", "what the majority of the runs came to, and how many of them"),
        *heads(shown, definitions),
        Column(
            "steady",
            "%",
            detail="share of the achievable in the second half of each long phase",
        ),
    ]
    rows: list[list[Value]] = [
        [
            label,
            _verdict(cell),
            *(estimate(cell["metrics"][m]) for m in shown),
            _steady(cell["phases"]),
        ]
        for label, cell in cells.items()
    ]
    reasons = [(label, _reason(cell["verdict"])) for label, cell in cells.items()]
    laws = [
        (label, format.settings(cell["parameters"]) or "as it is printed")
        for label, cell in cells.items()
    ]
    plant = {k: v for k, v in arena.items() if k not in ("throttles", "summary", "variant_of")}
    return [
        lead,
        _by_word({k: v["verdict"]["word"] for k, v in cells.items()}),
        Sortable(Table(f"{name}: measures", columns, rows)),
        *drawn,
        Folded("Why: the reason of each verdict", [Facts(reasons)]),
        _all_measures(name, cells, definitions),
        Folded("Parameters of the throttles", [Facts(laws)]),
        Folded("The plant", generic(plant)),
    ]


def _all_measures(
    name: str, cells: Mapping[str, Mapping[str, Any]], definitions: Mapping[str, Mapping[str, Any]]
) -> Folded:
    rows: list[list[Value]] = [
        [label, *(estimate(cell["metrics"][m]) for m in definitions)]
        for label, cell in cells.items()
    ]
    table = Table(f"{name}: every measure", [names("throttle"), *every(definitions)], rows)
    return Folded("Every measure", [Sortable(table)], "screen")


def _reason(found: Verdicts) -> list[Span]:
    remark = f"; * {found['remark']}" if found.get("remark") else ""
    return [Span(found["word"], "verdict"), Span(f" {found['reason']}{remark}")]


def _steady(phases: Sequence[Mapping[str, Any]]) -> Cell:
    means = [phase["steady_share"]["mean"] for phase in phases]
    return Cell(
        format.shares(means),
        min((100.0 * mean for mean in means if mean is not None), default=None),
    )


def _late(result: Result[CompareRecord], arenas: Mapping[str, ScenarioPart]) -> Iterator[Section]:
    """Scenarios that differ in the late policy alone, beside one another."""
    definitions = result.record.defined()
    late = {metric: how for metric, how in LATE.items() if metric in definitions}
    groups: dict[str, list[ScenarioPart]] = {}
    for arena in arenas.values():
        if arena["variant_of"]:
            groups.setdefault(arena["variant_of"], []).append(arena)
    for base, variants in groups.items():
        columns = [
            names("throttle"),
            words("late", "what becomes of missed slots"),
            *heads(late, definitions),
        ]
        rows: list[list[Value]] = [
            [
                label,
                arena["late"],
                *(estimate(arena["throttles"][label]["metrics"][m]) for m in late),
            ]
            for label in variants[0]["throttles"]
            for arena in variants
            if label in arena["throttles"]
        ]
        table = Sortable(Table(f"{base}: late policies", columns, rows))
        yield Section(f"{base}: what becomes of missed slots", [table])
