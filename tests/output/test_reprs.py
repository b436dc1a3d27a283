"""What a notebook or a prompt shows of a result: a line, or a small table, never everything in
it.
"""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

import tpssim
from tpssim.core.schedule import late_policy
from tpssim.experiments.compare import league
from tpssim.scenarios.scenario import with_late

SHORT = "blocking-steady:duration=5"


def compared() -> Any:
    return tpssim.compare(SHORT, ["aimd", "headroom"], replications=2)


def swept() -> Any:
    return tpssim.sweep(SHORT, "ewma-deadzone", {"alpha": [0.1, 0.2, 0.4]}, replications=2)


RESULTS: dict[str, tuple[Any, str]] = {
    "comparison": (compared, r"2 throttles on 1 scenario, 2 replications; .*\.table\(\)"),
    "trace": (
        lambda: tpssim.simulate(SHORT, "aimd"),
        r"aimd on blocking-steady:duration=5, \d+ calls in 5 s; ",
    ),
    "sweep": (
        swept,
        r"ewma-deadzone on blocking-steady:duration=5, 3 points of alpha, 2 replications; ",
    ),
    "tune": (
        lambda: tpssim.tune(
            [SHORT], "aimd", parameters={"dec_rate": None}, budget=16, replications=1
        ),
        (
            r"aimd:dec_rate=[\d.]+ for blocking-steady:duration=5, of \d+ settings, [\d,]+ runs;"
            r" .*\.line\(\)"
        ),
    ),
    "league": (
        lambda: league([SHORT], ["aimd", "headroom"], replications=2),
        r"2 throttles on 1 scenario, 2 replications; .*\.table\(\)",
    ),
    "report": (
        lambda: tpssim.run(abs, range(20), tps=1000.0).report,
        r"20 calls in [\d.]+ s at [\d.,]+/s; .*print\(\)",
    ),
}


@pytest.mark.parametrize("kind", list(RESULTS))
def test_a_result_is_a_line_that_says_what_it_is(kind: str) -> None:
    make, pattern = RESULTS[kind]
    result = make()
    line = repr(result)
    assert "\n" not in line
    assert len(line) <= 320
    assert re.fullmatch(rf"<{type(result).__name__}: .*>", line)
    assert re.search(pattern, line), line
    assert repr(pickle.loads(pickle.dumps(result))) == line


def test_a_report_of_nothing_has_a_line_too() -> None:
    assert "0 calls" in repr(tpssim.run(abs, [], tps=10.0).report)


def cells(html: str) -> list[str]:
    return re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", html)


def test_a_notebook_shows_a_comparison_as_its_table() -> None:
    result = compared()
    html = result._repr_html_()
    assert html.count("<tr>") == 1 + 2
    printed = result.table()
    for cell in cells(html)[9:]:  # the heads have two lines there
        assert cell in printed
    assert cells(html)[4:9] == ["swing %", "recovers s", "p99 s", "drift ppm", "spin %"]
    assert cells(html)[:4] == ["throttle", "verdict", "achieved %", "steady %"]
    assert len(html) < 3000
    assert re.search("colou?r|background|<script|<style", html) is None, (
        "the notebook's theme stays"
    )


def test_a_notebook_shows_late_policies_and_escapes_names() -> None:
    stall = tpssim.SCENARIOS["stall"]._replace(name="<b>stall", duration=20.0, summary="")
    arenas = with_late(stall, [late_policy(text) for text in ("burst", "skip")])
    html = tpssim.compare(arenas, ["fixed"], replications=1)._repr_html_()
    assert html.count("<table>") == 2 + 1
    assert "&lt;b&gt;stall: what becomes of missed slots<br>storm:" in html
    assert "<b>" not in html


def test_a_notebook_shows_a_sweep_and_a_league_as_their_tables() -> None:
    sweep = swept()._repr_html_()
    assert sweep.count("<tr>") == 1 + 3
    assert cells(sweep)[:2] == ["alpha", "verdict"]
    table = league([SHORT], ["aimd", "headroom"], replications=2)._repr_html_()
    assert table.count("<tr>") == 1 + 3
    assert {"oracle", "headroom", "aimd"} <= set(cells(table))


def test_a_live_object_says_its_rate_its_law_and_its_calls() -> None:
    limiter = tpssim.Limiter(500.0, controller="headroom")
    with limiter:
        pass
    with limiter:
        pass
    assert repr(limiter) == "<Limiter: 500/s, headroom, 2 released>"
    assert repr(tpssim.throttle([], float("inf"))) == "<Throttle: any rate, fixed, 0 released>"
