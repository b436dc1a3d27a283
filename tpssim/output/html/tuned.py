"""What a page tells of a search for better parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tpssim.core.statistics import CONFIDENCE, EACH, assumption
from tpssim.core.validation import exact
from tpssim.output import format
from tpssim.output.format import number
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Block,
    Command,
    Facts,
    Figure,
    Figures,
    Folded,
    Paragraph,
    Section,
    Sortable,
)
from tpssim.output.html.cells import (
    about,
    cell,
    estimate,
    every,
    heads,
    named,
    names,
    numbers,
    scaled,
    verdict,
    words,
)
from tpssim.output.html.compared import SHOWN, Progress
from tpssim.output.html.reading import Result
from tpssim.output.records import TuneRecord
from tpssim.output.spans import Span, Text, strong
from tpssim.output.tables import Cell, Column, Table, Value

#: What each picture shows, in the order in which they are shown.
PICTURES = {
    "pareto": "both objectives of every setting, the front, the default and the chosen one",
    "convergence": "the objective of every setting in the order of the search, and the best so far",
    "profile": (
        "the objective over each parameter: a flat bottom means that its exact value matters little"
    ),
    "sensitivity": (
        "which parameters the objective depends on: alone (first), and with the others (total)"
    ),
}
LISTED = 5  # measures that are named as given up


def tune(result: Result[TuneRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    shown: list[tuple[Text, Text]] = [
        *_gains(summary),
        ("given up", _given_up(summary)),
        ("how sure", _how_sure(summary)),
    ]
    if summary.at_edges:
        edges = f"{', '.join(summary.at_edges)}; search a wider range"
        shown.append(("at the edge of what was searched", edges))
    where = summary.scenarios
    counts = f", of which the {summary.robust} counts" if len(where) > 1 else ""
    found = "did no better than the default, which stays" if summary.keeps_default else "is"
    lead = Span(
        f" tuned on {', '.join(where)}{counts}: the best of {summary.settings:,} settings, in"
        f" {summary.runs:,} runs, {found}"
    )
    blocks: list[Block] = [
        Paragraph([strong(summary.controller), lead]),
        Command(summary.line),
        Facts(shown),
    ]
    yield Section("At a glance", blocks)
    drawn = []
    for done, figure in enumerate(summary.figures, start=1):
        path, caption = result.folder / figure["file"], PICTURES.get(figure["name"], "")
        if path.is_file():
            drawn.append(Figure(drawings.embedded(path, caption), caption, "wide"))
        progress(done, len(summary.figures))
    if drawn:
        yield Section("Pictures", [Figures(drawn, "pictures")])
    yield Section("Parameters", _parameters(summary))
    yield Section("Scenarios", _scenarios(summary))
    yield Section("What became worse and better", _changes(summary))
    yield Section("Settings on fresh seeds", _finalists(summary))
    if indices := summary.sensitivity:
        yield Section("What the objective depends on", _sensitivity(indices))


def _kept(summary: TuneRecord) -> bool:
    """Whether the default was chosen."""
    return bool(summary.parameters == summary.default_parameters)


def _gains(summary: TuneRecord) -> Iterator[tuple[Text, Text]]:
    """Each objective: of the default, of the chosen, the gain with its interval."""
    keys = ("objectives", "default", "tuned", "gain", "judgements")
    columns = (getattr(summary, key) for key in keys)
    for aim, before, after, gain, judged in zip(*columns, strict=True):
        name, better, start, sign = _sense(aim)
        shows = better == "less" and aim["formula"] not in ("", aim["name"])
        formula = f" = {aim['formula']}" if shows else ""
        shown: Text
        if _kept(summary):
            shown = "no setting was better than the default"
        elif None in (gain["mean"], before["mean"], after["mean"]):
            shown = "no gain is known: the default or the chosen cannot be judged"
        else:
            old, new = (start + sign * e["mean"] for e in (before, after))
            percent = f" ({format.change(old, new)})" if old > 0.0 else ""
            gained = format.bounds(gain["mean"], gain["low"], gain["high"], _three)
            shown = [
                Span(f"{number(old)} of the default, "),
                strong(number(new)),
                Span(f" now{percent}; gain {gained}"),
                *([] if judged == "better" else [Span(", "), strong(judged)]),
                Span(f" ({assumption(gain['n'], CONFIDENCE)})"),
            ]
        yield f"{name}{formula} ({better} is better)", shown


def _three(value: float) -> str:
    return number(value, 3)


def _sense(aim: Mapping[str, Any]) -> tuple[str, str, float, float]:
    """What an objective is called, which way is better, and how a loss is shown: start + sign x
    loss.
    """
    sense: Mapping[str, Any] = aim["sense"]
    return sense["name"], sense["better"], sense["start"], sense["sign"]


def _given_up(summary: TuneRecord) -> str:
    if _kept(summary) or not summary.worse:
        return "nothing: no other measure became worse beyond chance"
    measures = list(dict.fromkeys(change["measure"] for change in summary.worse))
    parts = []
    for name in measures[:LISTED]:
        rows = [change for change in summary.worse if change["measure"] == name]
        worst = max(rows, key=_size)
        unit = scaled(summary.definitions[name]["unit"])[1]
        before, after = (_mean(worst, which, summary) for which in ("default", "tuned"))
        parts.append(f"{name} {before} to {after} {unit} on {worst['scenario']}")
    more = f"; and {len(measures) - LISTED} more" if len(measures) > LISTED else ""
    return "; ".join(parts) + more


def _size(change: Mapping[str, Any]) -> tuple[int, float]:
    """What is never more often is worse than any number."""
    before, after = change["never"]
    return after - before, abs(change["difference"]["mean"] or 0.0)


def _mean(change: Mapping[str, Any], which: str, summary: TuneRecord) -> str:
    """A mean of a change; "never" where all runs are without an end, with how many of them where
    some are.
    """
    mean, never = change[which], change["never"][("default", "tuned").index(which)]
    if mean is None:
        return "never" if never else "-"
    shown = number(mean * scaled(summary.definitions[change["measure"]]["unit"])[0], 3)
    return f"{shown} (never in {never} of {change['pairs']})" if never else shown


def _how_sure(summary: TuneRecord) -> str:
    standing = sum(one["standing"] for one in summary.finalists)
    if len(summary.objectives) > 1:
        return f"the knee of a front of {standing} settings, of those that were run on fresh seeds"
    others = len(summary.finalists) - 1
    n = max((one["fresh_replications"] for one in summary.finalists), default=0)
    said = f"of {others} and the default by the mean of {n} fresh replications"
    if summary.within is None or not standing:
        return said
    return (
        f"{said}: in the median run at most {number(summary.within, 2)} worse than the best of"
        f" them ({assumption(n, CONFIDENCE)}); {standing} may do best there"
    )


def _parameters(summary: TuneRecord) -> list[Block]:
    columns = [
        names("parameter", "of the law; others stay as they are"),
        numbers("default", "before the search"),
        numbers("tuned", "the chosen value"),
        numbers("from", "least value that was tried"),
        numbers("to", "greatest value that was tried"),
        words("scale", "how the range was searched"),
        words("unit"),
    ]
    rows: list[list[Value]] = []
    for axis in summary.searched:
        name = axis["name"]
        tuned = summary.parameters[name]
        rows.append(
            [
                name,
                summary.default_parameters[name],
                Cell(exact(tuned), tuned),
                axis["low"],
                axis["high"],
                "logarithmic" if axis["log"] else "linear",
                axis["unit"],
            ]
        )
    return [Sortable(Table("parameters", columns, rows))]


def _scenarios(summary: TuneRecord) -> list[Block]:
    definitions = summary.definitions
    known = {metric: how for metric, how in SHOWN.items() if metric in definitions}
    first = [names("scenario"), words("setting")]
    said = words("verdict", "what the majority of the runs came to, and the share of them")
    rows: list[list[Value]] = []
    all_rows: list[list[Value]] = []
    for outcome in summary.scenario_outcomes:
        settings = {"default": outcome["default"], "tuned": outcome["tuned"]}
        for which, found in settings.items():
            row: list[Value] = [outcome["scenario"], which]
            word = verdict(found["verdict"], format.share(found["share"]))
            rows.append([*row, word, *(estimate(found["measures"][m]) for m in known)])
            all_rows.append([*row, *map(estimate, found["measures"].values())])
    shown = [*first, said, *heads(known, definitions)]
    table = Table("every measure by scenario", [*first, *every(definitions)], all_rows)
    return [
        Sortable(Table("by scenario", shown, rows)),
        Folded("Every measure", [Sortable(table)], "screen"),
    ]


DIFFERENCE = numbers(
    "difference",
    "tuned - default in paired runs; ± of the median run, for all measures together",
)


def _changes(summary: TuneRecord) -> list[Block]:
    columns = [
        names("measure"),
        words("change", "for better or for worse"),
        words("scenario"),
        numbers("default", "mean of the default, in the unit of the measure"),
        numbers("tuned", "mean of the chosen setting, in the unit of the measure"),
        DIFFERENCE,
        words("unit"),
    ]
    rows: list[list[Value]] = []
    for which, changes in (("worse", summary.worse), ("better", summary.better)):
        for change in changes:
            measure = change["measure"]
            scale, unit = scaled(summary.definitions[measure]["unit"])
            means = [
                Cell(_mean(change, k, summary), _sorted(change, k)) for k in ("default", "tuned")
            ]
            rows.append(
                [
                    named(measure, about(measure, summary.definitions)),
                    which,
                    change["scenario"],
                    *means,
                    cell(estimate(change["difference"]), DIFFERENCE._replace(scale=scale)),
                    unit,
                ]
            )
    if not rows:
        return [Paragraph("No measure differs for certain.")]
    return [Sortable(Table("changes", columns, rows))]


def _sorted(change: Mapping[str, Any], which: str) -> float | None:
    """By what a mean is sorted: never is more than any number."""
    mean: float | None = change[which]
    return math.inf if mean is None and change["never"][("default", "tuned").index(which)] else mean


def _finalists(summary: TuneRecord) -> list[Block]:
    aims = [aim["name"] for aim in summary.objectives]
    searched: Sequence[Mapping[str, Any]] = summary.searched
    fresh = f"mean on fresh seeds, ± {100.0 * EACH:.4g} % for the median run"
    columns = [
        *(
            numbers(axis["name"], f"a parameter ({axis['unit']})" if axis["unit"] else "")
            for axis in searched
        ),
        *(
            numbers(f"{aim}: search", "what the search found, with the seeds it chose by")
            for aim in aims
        ),
        *(numbers(f"{aim}: fresh", fresh) for aim in aims),
        numbers("replications", "fresh ones that it was run for"),
        words(
            "kept",
            "may do as well in the median run; of two objectives: on the front of fresh seeds",
        ),
    ]
    rows: list[list[Value]] = []
    for one in summary.finalists:
        said: Sequence[float | None] = one["search"] or [None] * len(aims)
        rows.append(
            [
                *one["parameters"].values(),
                *said,
                *map(estimate, one["fresh"]),
                float(one["fresh_replications"]),
                "yes" if one["standing"] else "no",
            ]
        )
    table = Table("finalists", columns, rows)
    return [Sortable(table), Paragraph("The last one is the default.")]


def _sensitivity(found: Mapping[str, Any]) -> list[Block]:
    alone = "Sobol index: share of the objective's variance that it explains alone"
    together = "Sobol index: that share together with the other parameters"
    columns = [names("parameter"), Column("first", detail=alone), Column("total", detail=together)]
    rows: list[list[Value]] = [
        [name, *(_index(found[order][name]) for order in ("first", "total"))]
        for name in found["names"]
    ]
    table = Table("sensitivity", columns, rows)
    return [Sortable(table), Paragraph(found["assumption"])]


def _index(index: Mapping[str, Any]) -> Cell:
    """A Sobol index with its interval."""
    shown = [Span(format.fixed(index["value"], 2))]
    if index["low"] is not None:
        low, high = (format.fixed(index[end], 2) for end in ("low", "high"))
        shown += [Span(" "), Span(f"[{low}, {high}]", "small")]
    return Cell(shown, index["value"])
