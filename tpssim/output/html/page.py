"""The page: a folder's sections in the template, with its style and its script."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from tpssim.core.statistics import EACH, assumption
from tpssim.output.html import sections
from tpssim.output.html.compared import Progress
from tpssim.output.html.generic import generic
from tpssim.output.html.markup import WORD_MEANINGS, badge, section, text
from tpssim.output.html.ranked import BEHIND
from tpssim.output.html.reading import Result, read_result
from tpssim.output.html.tuned import MEASURES


def _silent(done: int, total: int) -> None:
    pass


def page(folder: Path, progress: Progress = _silent) -> str:
    """One self-contained HTML page of a results folder; raises `InputError`.

    It shows what the folder holds and runs nothing; `progress(done, total)` is called as pictures
    are drawn.
    """
    result = read_result(folder)
    kind = sections.KINDS.get(result.verb, sections.other)
    body = [*kind(result, progress), _definitions(result), _provenance(result)]
    nav = re.findall(r'<section id="([^"]+)"><h2>(.*?)</h2>', "\n".join(body))
    room = files("tpssim.output.html")
    template = Template(room.joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=text(f"tpssim {result.verb}: {_heading(result)}"),
        heading=text(_heading(result)),
        verb=text(result.verb),
        made=_made(result),
        command=text(result.run["command"]),
        nav="".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in nav),
        sections="\n".join(body),
        css=room.joinpath("page.css").read_text(encoding="utf-8"),
        js=room.joinpath("page.js").read_text(encoding="utf-8"),
    )


def _heading(result: Result) -> str:
    summary = result.summary
    if result.verb == "compare":
        arenas = summary["scenarios"]
        throttles = {label for arena in arenas.values() for label in arena["throttles"]}
        where = next(iter(arenas)) if len(arenas) == 1 else f"{len(arenas)} scenarios"
        return f"{len(throttles)} throttle{'s' if len(throttles) > 1 else ''} on {where}"
    if result.verb == "league":
        return (
            f"{len(summary['standings'])} throttles on {len(summary['halves'])} scenarios, ranked"
        )
    if result.verb == "tune":
        names = summary["scenarios"]
        return (
            f"{summary['controller']} tuned on"
            f" {names[0] if len(names) == 1 else f'{len(names)} scenarios'}"
        )
    if result.verb == "replay":
        rivals = len(summary["numbers"]) - 2  # beside the recorded law, live and simulated
        return f"{summary['recording']['controller']}, live, decided again" + (
            f"; and what {rivals} other law{'s' if rivals > 1 else ''} would have done"
            if rivals > 0
            else ""
        )
    if isinstance(summary.get("controller"), str):
        where = (
            f" on {summary['scenario']}" if isinstance(summary.get("scenario"), str) else ", live"
        )
        return f"{summary['controller']}{where}"
    return result.folder.resolve().name


def _made(result: Result) -> str:
    summary, run = result.summary, result.run
    parts = [f"made {run.get('made', '')} by tpssim {run['tpssim']}"]
    if isinstance(summary.get("replications"), int):
        parts.append(f"{summary['replications']} replications each")
        if result.verb in ("compare", "league", "sweep"):
            parts.append(f"±: {assumption(summary['replications'])}")
        if result.verb == "league":
            parts.append(f"± of what is behind the first: {BEHIND}")
    if result.verb == "tune":
        parts.append(f"±: {100.0 * EACH:.4g} % for the median of fresh runs, however they spread")
    return text("; ".join(parts))


def _definitions(result: Result) -> str:
    """Every word and every number of the page; folded, for a long list."""
    parts = []
    if result.verb in ("compare", "league", "sweep", "simulate", "tune"):
        words = "".join(
            f"<dt>{badge(word)}</dt><dd>{text(told)}</dd>" for word, told in WORD_MEANINGS.items()
        )
        parts.append(f'<h3>Verdicts</h3><dl class="told">{words}</dl>')
    if known := MEASURES if result.verb == "tune" else result.definitions():
        rows = "".join(
            f"<dt>{text(name)}"
            f" <small>{text(told.get('unit', ''))}</small></dt><dd>{text(told['definition'])}"
            + (f" <small>({text(told['source'])})</small>" if "source" in told else "")
            + "</dd>"
            for name, told in known.items()
        )
        parts.append(f'<h3>Measures</h3><dl class="told">{rows}</dl>')
    return section("Definitions", "\n".join(parts)) if parts else ""


def _provenance(result: Result) -> str:
    """What made the numbers, and how to make them again."""
    known = {
        k: v for k, v in result.summary.items() if not isinstance(v, dict | list) and k != "command"
    }
    run = {k: v for k, v in result.run.items() if k not in ("command", "files")}
    command = f'<pre class="command"><code>{text(result.run["command"])}</code></pre>'
    again = f"<p>The command that makes these numbers again:</p>{command}"
    return section("Configuration and versions", again + generic({**known, **run}))
