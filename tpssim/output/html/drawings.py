"""Pictures as SVG inside the page, drawn again from the data of the folder; else its PNG."""

from __future__ import annotations

import base64
import html
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tpssim.core.errors import InputError
from tpssim.output import plots
from tpssim.output.cells import At, cells_of, measured
from tpssim.output.html.blocks import Key
from tpssim.output.plots.common import BLUE, DIM, ORANGE, PRODUCERS, PURPLE, REFUSED_THERE
from tpssim.output.plots.rates import BY_SERVICE, HERE, SHADE, refused_of
from tpssim.output.records import SweepRecord
from tpssim.output.records.parts import Definition, Figure
from tpssim.output.verdict_words import WORDS

#: Colours that change with the scheme of the page; the others are legible on light and dark.
SCHEME = {
    "#000000": "ink",
    "#ffffff": "paper",
    "#bbbbbb": "shade",
    "#767676": "soft",
    "#0072b2": "blue",
    "#d55e00": "orange",
    "#56b4e9": "sky",
    "#cfe6f4": "had",
}


Definitions = Mapping[str, Definition]


def inline(drawing: str, label: str) -> str:
    """An SVG document as an element of a page: names of its own, the page's colours, short
    numbers.
    """
    root = ElementTree.fromstring(drawing)
    for about_it in root.findall("{*}metadata"):
        root.remove(about_it)
    prefix = f"p{zlib.crc32((label + drawing).encode()):08x}-"
    every = list(root.iter())
    targets = {_target(value) for element in every for value in element.attrib.values()}
    for element in every:
        element.tag = _local(element.tag)
        shown = (
            (_local(name), _shown(_local(name), value, prefix, targets))
            for name, value in element.items()
        )
        element.attrib = {name: value for name, value in shown if value}
        if element.text and not element.text.strip():  # between elements
            element.text = "\n"
        element.tail = element.tail and "\n"
    box = root.attrib["viewBox"]
    wide = f"--wide:{float(box.split()[2]):.0f}px"
    root.attrib = {"role": "img", "aria-label": label, "viewBox": box, "style": wide}
    return ElementTree.tostring(root, encoding="unicode").strip()


def _local(name: str) -> str:
    """A name without its namespace: a page has none."""
    return name.rpartition("}")[2]


def _target(value: str) -> str:
    """The element that the value of an attribute points to; "" if it points to none."""
    if value.startswith("#"):
        return value[1:]
    return value.partition("url(#")[2].partition(")")[0]


def _shown(name: str, value: str, prefix: str, targets: Collection[str]) -> str:
    """An attribute as it stands in a page; "" if it does not."""
    if name == "id":
        return prefix + value if value in targets else ""
    if target := _target(value):
        value = value.replace(f"#{target}", f"#{prefix}{target}")
    if name == "d":
        return " ".join(map(_short, value.split()))
    if name == "transform" and value.startswith("rotate(-0 "):
        return ""
    if name == "style":
        styles = [style for style in value.split("; ") if not style.startswith("font-family:")]
        value = "; ".join(styles)
        for colour, known in SCHEME.items():
            value = value.replace(f": {colour}", f": var(--{known})")
    return value


def _short(word: str) -> str:
    """A coordinate to a tenth of a point, which no screen shows; a command as it is."""
    return f"{float(word):.1f}".removesuffix(".0") if "." in word else word


def embedded(path: Path, label: str) -> str:
    """A PNG as it lies in the folder."""
    drawn = path.read_bytes()
    if not drawn.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{str(path)!r} is no picture; allowed: a PNG that tpssim wrote, or none")
    data = base64.b64encode(drawn).decode("ascii")
    return f'<img class="png" alt="{html.escape(label)}" src="data:image/png;base64,{data}">'


Picture = tuple[plots.Panel, plots.Frame, Any]


def shared_axes(pictures: Sequence[Picture]) -> plots.Scales:
    """The axes of runs that stand side by side: one or more."""
    return plots.scales_of([run for run, _, _ in pictures], pictures[0][1])


def panel(picture: Picture, label: str, axes: plots.Scales) -> str:
    """The rates of one run, on axes that it may share."""
    run, frame, _ = picture
    return inline(plots.svg(plots.panel_figure(run, frame, axes)), label)


def _colour(colour: str) -> str:
    """A colour as the page has it."""
    known = SCHEME.get(colour.lower())
    return f"var(--{known})" if known else colour


def legend(pictures: Sequence[Picture]) -> list[Key]:
    """What the lines and areas of `panel` are."""
    runs, frame = [run for run, _, _ in pictures], pictures[0][1]
    producers, refused = len(runs[0].each), {name for run in runs for name, *_ in refused_of(run)}
    keys = [
        Key("delivered", _colour(BLUE), "solid"),
        Key("commanded rate", _colour(ORANGE), "solid"),
    ]
    if frame.wanted:
        keys += [Key("wanted", "var(--ink)", "dashed"), Key("achievable", _colour(SHADE), "filled")]
    else:
        keys.append(Key("achievable", "var(--ink)", "dashed"))
    if frame.shades:
        keys.append(Key("disturbance", "var(--shade)", "area"))
    if BY_SERVICE in refused:
        keys.append(Key(BY_SERVICE, REFUSED_THERE["color"], "filled"))
    if HERE in refused:
        keys.append(Key(HERE, _colour(DIM), "hatched"))
    if any(run.limited() for run in runs):
        keys.append(Key("limit, calls in flight (right)", PURPLE, "thin"))
    if producers > 1:
        styles = ("solid", "dashed", "dotted")
        keys += [
            Key(f"of producer {i + 1}", _colour(PRODUCERS[i % 3]), styles[i % 3])
            for i in range(producers)
        ]
    return keys


def overlay(
    picture: tuple[plots.Panel, plots.Frame, Mapping[str, Any]], title: str, name: str
) -> str:
    """One live run: commanded above, delivered below."""
    run, frame, meta = picture
    ceiling = str(meta.get("ceiling", "achievable"))
    figure = plots.overlay_figure("", [run._replace(title=name)], frame, ceiling)
    return inline(plots.svg(figure), title)


def _label(measure: str, definitions: Definitions) -> str:
    return f"{measure} ({definitions[measure]['unit']})"


def of_sweep(summary: SweepRecord, figure: Figure) -> str:
    """A picture of a sweep, drawn again from its points; empty where these alone cannot tell."""
    measure, definitions = figure.get("measure", ""), summary.defined()
    if figure["name"] == "heat map" and (measure in definitions or measure == "verdict"):
        return _heat(summary, measure, figure.get("factors", []))
    over = figure.get("over", "")
    if figure["name"] == "line" and measure in definitions:
        return _line(summary, measure, over) if over in {*summary.factors, *definitions} else ""
    return ""


def _heat(summary: SweepRecord, measure: str, over: Sequence[str]) -> str:
    """A measure, or `verdict`, over the two factors of a grid."""
    points, factors, definitions = summary.points, summary.factors, summary.defined()
    if len(factors) != 2 or sorted(over) != sorted(factors):
        return ""
    x, y = over
    words = ["failed", *WORDS]
    every = [
        (
            point[x],
            point[y],
            (
                At("", float(words.index(point["verdict"])))
                if measure == "verdict"
                else _at(summary, point, measure)
            ),
        )
        for point in points
    ]
    cells = cells_of(every)
    if cells is None:
        return ""  # a sample, which lies on no grid
    curves = [(c["label"], np.array(c["x"]), np.array(c["y"])) for c in summary.curves]
    law = summary.parameters
    mark = (law[x], law[y]) if x in law and y in law else None
    axes = (_axis(x, factors), _axis(y, factors))
    title = f"{summary.controller} on {summary.scenario}: {measure.replace('_', ' ')}"
    shown = ("", axes, cells.xs, cells.ys, cells.worst())
    figure = (
        plots.heat_figure(*shown, "", curves, mark, words)
        if measure == "verdict"
        else plots.heat_figure(
            *shown,
            _label(measure, definitions),
            curves,
            mark,
            better=definitions[measure].get("better", ""),
            made=cells,
        )
    )
    return inline(plots.svg(figure), title)


def _at(summary: SweepRecord, point: Mapping[str, Any], measure: str, x: Any = "") -> At:
    """A measure at a point of a sweep."""
    value, high = point[measure], point[f"{measure}_high"]
    half = math.nan if None in (value, high) else high - value
    n, never = point[f"{measure}_n"], point.get(f"{measure}_never", 0)
    return measured(value, half, summary.replications, n, never, x)


def caption(figure: Figure, summary: SweepRecord) -> str:
    """What a picture of a sweep shows."""
    measure = figure.get("measure", figure["name"])
    if measure == "verdict":
        return "verdict: what the majority of the runs at a point came to"
    over = f" over {figure['over']}" if "over" in figure else ""
    known = summary.defined().get(measure)
    return f"{measure}{over}" + (f": {known['definition']}" if known else "")


def _line(summary: SweepRecord, measure: str, x: str) -> str:
    """A measure over a factor or another measure."""
    points, factors, definitions = summary.points, summary.factors, summary.defined()
    across = [_at(summary, point, x).worst() if x in definitions else point[x] for point in points]
    rows = [
        _at(summary, point, measure, place) for point, place in zip(points, across, strict=True)
    ]
    settings = [tuple(point[name] for name in factors) for point in points]
    shown = plots.lines_over(list(factors), settings, x, None, rows)
    label = _label(x, definitions) if x in definitions else _axis(x, factors)
    figure = plots.line_figure("", (label, _label(measure, definitions)), *shown)
    return inline(plots.svg(figure), f"{measure} over {x}")


def _axis(name: str, factors: Mapping[str, str]) -> str:
    return f"{name} ({factors[name]})" if factors[name] else name
