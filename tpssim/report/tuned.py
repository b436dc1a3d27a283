"""What a page tells of a search for better parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tpssim.core import exact
from tpssim.metrics import METRICS
from tpssim.report import drawings
from tpssim.report.compared import SHOWN, Progress
from tpssim.report.markup import (
    Cell,
    Column,
    about,
    estimate,
    facts,
    folded,
    name_cell,
    number,
    scaled,
    section,
    table,
    text,
    verdict,
)
from tpssim.report.reading import Result

MEASURES = {name: metric._asdict() for name, metric in METRICS.items()}
#: What each picture shows, in the order in which they are shown.
PICTURES = {
    "pareto": "both objectives of every setting: less is better, the front, the default and the chosen one",
    "convergence": "the objective of every setting in the order of the search, and the best so far",
    "profile": "the objective over each parameter: a flat bottom means that its exact value matters little",
    "sensitivity": "which parameters the objective depends on: alone (first), and with the others (total)",
}
LISTED = 5  # measures that are named as given up


def tune(result: Result, progress: Progress) -> Iterator[str]:
    summary = result.summary
    line = f'<pre class="command"><code>{text(summary["line"])}</code></pre>'
    told = [*_gains(summary), ("given up", _given_up(summary)), ("how sure", _how_sure(summary))]
    if summary["at_edges"]:
        edges = text(", ".join(summary["at_edges"]))
        told.append(("at the edge of what was searched", f"{edges}; search a wider range"))
    names = summary["scenarios"]
    counts = f", of which the {text(summary['robust'])} counts" if len(names) > 1 else ""
    lead = (
        f"<p><b>{text(summary['controller'])}</b> tuned on {text(', '.join(names))}{counts}: the best of "
        f"{summary['settings']:,} settings, in {summary['runs']:,} runs, is</p>"
    )
    yield section("At a glance", lead + line + facts(told))
    drawn = []
    for done, (name, caption) in enumerate(PICTURES.items(), start=1):
        path = result.folder / f"{name}.png"
        if path.is_file():
            drawn.append(drawings.figure(drawings.embedded(path, caption), text(caption), "wide"))
        progress(done, len(PICTURES))
    if drawn:
        yield section("Pictures", drawings.figures(drawn, "pictures"))
    yield section("Parameters", _parameters(summary))
    yield section("Scenarios", _scenarios(summary))
    yield section("What became worse and better", _changes(summary))
    yield section("Settings on fresh seeds", _finalists(summary))
    if found := summary.get("sensitivity"):
        yield section("What the objective depends on", _sensitivity(found))


def _kept(summary: Mapping[str, Any]) -> bool:
    """Whether the default was chosen."""
    return bool(summary["parameters"] == summary["default_parameters"])


def _interval(e: Mapping[str, Any]) -> str:
    if e["mean"] is None:
        return "-"
    bounds = "" if e["low"] is None else f" [{number(e['low'], 3)}, {number(e['high'], 3)}]"
    return f"{number(e['mean'], 3)}{bounds}"


def _gains(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each objective: of the default, of the chosen, the gain with its interval."""
    rows = zip(summary["objectives"], summary["default"], summary["tuned"], summary["gain"], strict=True)
    for aim, before, after, gain in rows:
        formula = f" = {aim['formula']}" if aim["formula"] not in ("", aim["name"]) else ""
        if _kept(summary):
            told = "no setting was better than the default"
        elif gain["mean"] is None or before["mean"] is None:
            told = "no gain can be told: the default or the chosen cannot be judged"
        else:
            percent = f" ({-100.0 * gain['mean'] / before['mean']:+.0f} %)" if before["mean"] > 0.0 else ""
            sure = gain["low"] is not None and gain["low"] > 0.0
            told = (
                f"{number(before['mean'])} of the default, <b>{number(after['mean'])}</b> now{percent}; "
                f"gain {_interval(gain)}{'' if sure else ', not certain'} in {gain['n']} fresh replications"
            )
        yield f"{aim['name']}{formula} (less is better)", told


def _given_up(summary: Mapping[str, Any]) -> str:
    if _kept(summary) or not summary["worse"]:
        return "nothing: no other measure became worse"
    names = list(dict.fromkeys(change["measure"] for change in summary["worse"]))
    parts = []
    for name in names[:LISTED]:
        rows = [change for change in summary["worse"] if change["measure"] == name]
        worst = max(rows, key=lambda change: abs(change["tuned"] - change["default"]))
        scale, unit = scaled(METRICS[name].unit)
        before, after = number(worst["default"] * scale, 3), number(worst["tuned"] * scale, 3)
        parts.append(f"{text(name)} {before} to {after} {text(unit)} on {text(worst['scenario'])}")
    more = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "; ".join(parts) + more


def _how_sure(summary: Mapping[str, Any]) -> str:
    others = len(summary["finalists"]) - 1
    if summary["confidence"] is None:
        return f"the knee of a front of {others} settings, each run on fresh seeds"
    sure = f"{summary['confidence']:.0%}" if summary["confidence"] < 0.995 else "above 99 %"
    return (
        f"of {others} and the default on fresh seeds (Kim-Nelson): within "
        f"{number(summary['indifference'], 2)} of the best with confidence {sure}"
    )


def _parameters(summary: Mapping[str, Any]) -> str:
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
    for axis in summary["searched"]:
        name = axis["name"]
        values = [summary[k][name] for k in ("default_parameters", "parameters")] + [
            axis["low"],
            axis["high"],
        ]
        numbers = [Cell(text(exact(v) if i == 1 else number(v)), v) for i, v in enumerate(values)]
        words = ["logarithmic" if axis["log"] else "linear", axis["unit"]]
        rows.append([name_cell(name), *numbers, *(Cell(text(word), word) for word in words)])
    return table(columns, rows, "parameters")


def _scenarios(summary: Mapping[str, Any]) -> str:
    short = [
        Column("scenario"),
        Column("setting"),
        Column("verdict", "what the majority of the runs came to, and the share of them"),
    ]
    every, rows, numbers = list(short[:2]), [], []
    for metric, told in MEASURES.items():
        unit = scaled(told["unit"])[1]
        every.append(Column(metric if unit == "1" else f"{metric} {unit}", about(metric, MEASURES)))
    for outcome in summary["scenario_outcomes"]:
        for which in ("default", "tuned"):
            found = outcome[which]
            row = [name_cell(outcome["scenario"]), Cell(which, which)]
            rows.append(
                [
                    *row,
                    verdict(found["verdict"], f"{found['share']:.0%}"),
                    *(estimate(found["measures"][m], scale, d) for m, (_, scale, d) in SHOWN.items()),
                ]
            )
            measures = found["measures"].items()
            numbers.append([*row, *(estimate(e, scaled(METRICS[m].unit)[0]) for m, e in measures)])
    shown = [Column(head, about(metric, MEASURES)) for metric, (head, _, _) in SHOWN.items()]
    all_of_them = table(every, numbers, "every measure by scenario")
    return table([*short, *shown], rows, "by scenario") + folded("Every measure", all_of_them, "screen")


def _changes(summary: Mapping[str, Any]) -> str:
    columns = [
        Column("measure"),
        Column("change", "for better or for worse"),
        Column("scenario"),
        Column("default", "mean of the default, in the unit of the measure"),
        Column("tuned", "mean of the chosen setting, in the unit of the measure"),
        Column("difference", "tuned - default in paired runs, with a simultaneous 95 % interval"),
        Column("unit"),
    ]
    rows = []
    for which in ("worse", "better"):
        for change in summary[which]:
            scale, unit = scaled(METRICS[change["measure"]].unit)
            means = [Cell(number(change[k] * scale), change[k]) for k in ("default", "tuned")]
            rows.append(
                [
                    name_cell(change["measure"])._replace(told=about(change["measure"], MEASURES)),
                    Cell(which, which),
                    Cell(text(change["scenario"]), change["scenario"]),
                    *means,
                    estimate(change["difference"], scale),
                    Cell(text(unit), unit),
                ]
            )
    return table(columns, rows, "changes") if rows else "<p>No measure differs for certain.</p>"


def _finalists(summary: Mapping[str, Any]) -> str:
    names = [aim["name"] for aim in summary["objectives"]]
    searched: Sequence[Mapping[str, Any]] = summary["searched"]
    columns = [
        *(Column(axis["name"], f"a parameter ({axis['unit']})" if axis["unit"] else "") for axis in searched),
        *(Column(f"{name}: search", "what the search found, with the seeds it chose by") for name in names),
        *(Column(f"{name}: fresh", "mean on fresh seeds, ± half of its interval") for name in names),
        Column("replications", "fresh ones that it was run for"),
        Column("kept", "not dropped by the procedure that chooses"),
    ]
    rows = []
    for one in summary["finalists"]:
        said = one["search"] or [None] * len(names)
        kept = "yes" if one["standing"] else "no"
        rows.append(
            [
                *(Cell(number(v), v) for v in one["parameters"].values()),
                *(Cell(number(v), v) for v in said),
                *(estimate(e) for e in one["fresh"]),
                Cell(number(one["fresh_replications"]), float(one["fresh_replications"])),
                Cell(kept, kept),
            ]
        )
    return table(columns, rows, "finalists") + "<p>The last one is the default.</p>"


def _sensitivity(found: Mapping[str, Any]) -> str:
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
            shown = f"{index['value']:.2f} <small>[{index['low']:.2f}, {index['high']:.2f}]</small>"
            cells.append(Cell(shown, index["value"]))
        rows.append([name_cell(name), *cells])
    return table(columns, rows, "sensitivity")
