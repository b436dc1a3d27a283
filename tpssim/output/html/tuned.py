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
    Cell,
    Column,
    Command,
    Facts,
    Figure,
    Figures,
    Folded,
    Paragraph,
    Section,
    Span,
    Table,
    Text,
    about,
    estimate,
    heads,
    measured,
    name_cell,
    number_cell,
    scaled,
    strong,
    verdict,
    word_cell,
)
from tpssim.output.html.compared import SHOWN, Progress
from tpssim.output.html.reading import Result
from tpssim.output.records import TuneRecord

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
    names = summary.scenarios
    counts = f", of which the {summary.robust} counts" if len(names) > 1 else ""
    found = "did no better than the default, which stays" if summary.keeps_default else "is"
    lead = Span(
        f" tuned on {', '.join(names)}{counts}: the best of {summary.settings:,} settings, in"
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
    names = list(dict.fromkeys(change["measure"] for change in summary.worse))
    parts = []
    for name in names[:LISTED]:
        rows = [change for change in summary.worse if change["measure"] == name]
        worst = max(rows, key=_size)
        unit = scaled(summary.definitions[name]["unit"])[1]
        before, after = (_mean(worst, which, summary) for which in ("default", "tuned"))
        parts.append(f"{name} {before} to {after} {unit} on {worst['scenario']}")
    more = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
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
        Column("parameter", "of the law; others stay as they are"),
        Column("default", "before the search"),
        Column("tuned", "the chosen value"),
        Column("from", "least value that was tried"),
        Column("to", "greatest value that was tried"),
        Column("scale", "how the range was searched"),
        Column("unit"),
    ]
    rows = []
    for axis in summary.searched:
        name = axis["name"]
        settings = summary.default_parameters, summary.parameters
        values = [*(setting[name] for setting in settings), axis["low"], axis["high"]]
        numbers = [Cell(exact(v) if i == 1 else number(v), v) for i, v in enumerate(values)]
        words = ["logarithmic" if axis["log"] else "linear", axis["unit"]]
        rows.append([name_cell(name), *numbers, *map(word_cell, words)])
    return [Table(columns, rows, "parameters")]


def _scenarios(summary: TuneRecord) -> list[Block]:
    short = [
        Column("scenario"),
        Column("setting"),
        Column("verdict", "what the majority of the runs came to, and the share of them"),
    ]
    every, rows, numbers = list(short[:2]), [], []
    definitions = summary.definitions
    for metric, definition in definitions.items():
        unit = scaled(definition["unit"])[1]
        every.append(
            Column(metric if unit == "1" else f"{metric} {unit}", about(metric, definitions))
        )
    known = {metric: how for metric, how in SHOWN.items() if metric in definitions}
    for outcome in summary.scenario_outcomes:
        settings = {"default": outcome["default"], "tuned": outcome["tuned"]}
        for which in settings:
            found = settings[which]
            row = [name_cell(outcome["scenario"]), word_cell(which)]
            rows.append(
                [
                    *row,
                    verdict(found["verdict"], format.share(found["share"])),
                    *(measured(found["measures"][m], how) for m, how in known.items()),
                ]
            )
            measures = found["measures"].items()
            numbers.append(
                [*row, *(estimate(e, scaled(definitions[m]["unit"])[0]) for m, e in measures)]
            )
    shown = heads(known, definitions)
    return [
        Table([*short, *shown], rows, "by scenario"),
        Folded("Every measure", [Table(every, numbers, "every measure by scenario")], "screen"),
    ]


def _changes(summary: TuneRecord) -> list[Block]:
    columns = [
        Column("measure"),
        Column("change", "for better or for worse"),
        Column("scenario"),
        Column("default", "mean of the default, in the unit of the measure"),
        Column("tuned", "mean of the chosen setting, in the unit of the measure"),
        Column(
            "difference",
            "tuned - default in paired runs; ± of the median run, for all measures together",
        ),
        Column("unit"),
    ]
    rows = []
    for which, changes in (("worse", summary.worse), ("better", summary.better)):
        for change in changes:
            scale, unit = scaled(summary.definitions[change["measure"]]["unit"])
            means = [
                Cell(_mean(change, k, summary), _sorted(change, k)) for k in ("default", "tuned")
            ]
            rows.append(
                [
                    name_cell(change["measure"], about(change["measure"], summary.definitions)),
                    word_cell(which),
                    word_cell(change["scenario"]),
                    *means,
                    estimate(change["difference"], scale),
                    word_cell(unit),
                ]
            )
    if not rows:
        return [Paragraph("No measure differs for certain.")]
    return [Table(columns, rows, "changes")]


def _sorted(change: Mapping[str, Any], which: str) -> float | None:
    """By what a mean is sorted: never is more than any number."""
    mean: float | None = change[which]
    return math.inf if mean is None and change["never"][("default", "tuned").index(which)] else mean


def _finalists(summary: TuneRecord) -> list[Block]:
    names = [aim["name"] for aim in summary.objectives]
    searched: Sequence[Mapping[str, Any]] = summary.searched
    columns = [
        *(
            Column(axis["name"], f"a parameter ({axis['unit']})" if axis["unit"] else "")
            for axis in searched
        ),
        *(
            Column(f"{name}: search", "what the search found, with the seeds it chose by")
            for name in names
        ),
        *(
            Column(
                f"{name}: fresh", f"mean on fresh seeds, ± {100.0 * EACH:.4g} % for the median run"
            )
            for name in names
        ),
        Column("replications", "fresh ones that it was run for"),
        Column(
            "kept",
            "may do as well in the median run; of two objectives: on the front of fresh seeds",
        ),
    ]
    rows = []
    for one in summary.finalists:
        said: Sequence[float | None] = one["search"] or [None] * len(names)
        kept = "yes" if one["standing"] else "no"
        rows.append(
            [
                *map(number_cell, one["parameters"].values()),
                *map(number_cell, said),
                *(estimate(e) for e in one["fresh"]),
                number_cell(float(one["fresh_replications"])),
                word_cell(kept),
            ]
        )
    return [Table(columns, rows, "finalists"), Paragraph("The last one is the default.")]


def _sensitivity(found: Mapping[str, Any]) -> list[Block]:
    columns = [
        Column("parameter"),
        Column("first", "Sobol index: share of the objective's variance that it explains alone"),
        Column("total", "Sobol index: that share together with the other parameters"),
    ]
    rows = []
    for name in found["names"]:
        cells = []
        for order in ("first", "total"):
            index = found[order][name]
            shown = [Span(format.fixed(index["value"], 2))]
            if index["low"] is not None:
                low, high = (format.fixed(index[end], 2) for end in ("low", "high"))
                shown += [Span(" "), Span(f"[{low}, {high}]", "small")]
            cells.append(Cell(shown, index["value"]))
        rows.append([name_cell(name), *cells])
    return [Table(columns, rows, "sensitivity"), Paragraph(found["assumption"])]
