"""The page of a results folder: whole, self-contained, safe, and alive in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.browser import chromium, complaints, requested
from helpers.pages import gaps

from tpssim.cli.main import main
from tpssim.experiments.tuning import tune as tuning
from tpssim.live.report import Report
from tpssim.metrics.measure import METRICS
from tpssim.output.format import number
from tpssim.output.html.cells import WORD_MEANINGS
from tpssim.output.html.generic import generic
from tpssim.output.html.page import page
from tpssim.output.html.rendering import rendered
from tpssim.output.html.replayed import NUMBERS
from tpssim.output.meanings import MEANINGS
from tpssim.output.verdict_words import WORDS

VOID = {"meta", "link", "img", "wbr", "br", "hr", "input"}
FEW = ["--replications", "2", "--workers", "1"]
CALLS = """
def send(i):
    if i % 10 == 3:
        raise ValueError("call <b>%d</b>" % i)
"""


class Outline(HTMLParser):
    """Every element with its attributes; complains about one that is not closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results of every kind that the page knows, and one that it does not."""
    root = tmp_path_factory.mktemp("results")
    (root / "calls.py").write_text(CALLS, encoding="utf-8")
    shorter = "degrade-recover:duration=40"
    laws = ["--controllers", "aimd", "headroom", "fixed"]
    grid = [
        "--grid",
        "alpha=0.1,0.2",
        "deadzone=1.1,1.3",
        "--scenario",
        "blocking-steady:duration=6",
    ]
    call = ["--call", f"{root / 'calls.py'}:send", "--tps", "500", "--total", "50", "--quiet"]
    where = ["--scenarios", "blocking-steady:duration=5"]
    search = ["--budget", "24", "--replications", "1", "--workers", "1"]
    for name, argv in {
        "compare": ["compare", "--scenarios", shorter, "join-leave:duration=40", *laws, *FEW],
        "late": [
            "compare",
            "--scenarios",
            "stall",
            "--late",
            "burst,skip",
            "--controllers",
            "fixed",
            *FEW,
        ],
        "sweep": ["sweep", *grid, "--heatmap", "verdict", "swing", "--plot", "achieved", *FEW],
        "live": ["live", *call],
        "simulate": ["simulate", shorter, "headroom"],
        "validate": ["validate", "--cases", "M/M/1/K"],
        "league": [
            "compare",
            "--league",
            "--scenarios",
            "healthy:duration=2",
            "stall",
            *laws,
            *FEW,
        ],
        "services": [
            "compare",
            "--random",
            "3",
            "--kinds",
            "blocking,far",
            *laws,
            "--workers",
            "1",
        ],
        "tune": [
            "tune",
            "aimd",
            *where,
            "--parameters",
            "dec_rate",
            "inc_step",
            *search,
            "--sensitivity",
        ],
        "pareto": [
            "tune",
            "aimd",
            *where,
            "--objective",
            "iae",
            "swing",
            "--parameters",
            "dec_rate",
            *search,
        ],
        "replay": [
            "replay",
            str(root / "live" / "recording.ndjson"),
            "--controllers",
            "ewma-deadzone",
        ],
    }.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tuning, "CHOOSING", 20)  # its form is looked at, not what is chosen
            assert main([*argv, "--out", str(root / name)]) == 0
    return root


KINDS = (
    "compare",
    "late",
    "sweep",
    "live",
    "simulate",
    "validate",
    "league",
    "services",
    "tune",
    "pareto",
    "replay",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_refers_to_nothing_outside(kind: str, results: Path) -> None:
    text = page(results / kind)
    outline = Outline(text)
    assert text.startswith('<!doctype html>\n<html lang="en">')
    for tag, attributes in outline.elements:
        for name in ("src", "href", "action", "data", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value!r}>"
        assert not any(name.startswith("on") for name in attributes), f"<{tag}> carries a script"
    assert gaps(text) == []
    assert "url(http" not in text
    assert "@import" not in text
    names = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for tag, attributes in outline.elements:
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in names, tag
    policy = [
        m["content"]
        for m in outline.all("meta")
        if m.get("http-equiv") == "Content-Security-Policy"
    ]
    assert (policy[0] or "").startswith("default-src 'none'")
    command = json.loads((results / kind / "run.json").read_text(encoding="utf-8"))["command"]
    assert command in "".join(outline.words)
    assert page(results / kind) == text


def test_a_comparison_shows_every_throttle_as_a_drawing_with_its_verdict(results: Path) -> None:
    outline = Outline(page(results / "compare"))
    drawings = [svg["aria-label"] or "" for svg in outline.all("svg")]
    for scenario in ("degrade-recover:duration=40", "join-leave:duration=40"):
        for law in ("aimd", "headroom", "fixed"):
            assert len([d for d in drawings if d.startswith(f"{law} on {scenario}:")]) == 1
    assert outline.all("img") == [], "drawn again, so no PNG is needed"
    definitions = " ".join(th.get("title") or "" for th in outline.all("th"))
    for name, metric in METRICS.items():
        assert f"{name} ({metric.unit}): {metric.definition}" in definitions
    summary = json.loads((results / "compare" / "summary.json").read_text(encoding="utf-8"))
    words = "".join(outline.words)
    for arena in summary["scenarios"].values():
        for cell in arena["throttles"].values():
            assert cell["verdict"]["reason"] in words
    (scenario,) = (a for name, a in summary["scenarios"].items() if name.startswith("degrade"))
    achieved = scenario["throttles"]["headroom"]["metrics"]["achieved"]
    assert achieved["high"] is None, "fewer than five replications have no interval"
    assert f"{achieved['mean'] * 100:.1f}" in words
    assert "2 replications are too few" in words


def test_without_traces_the_picture_of_the_folder_is_shown(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "compare", tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "traces")
    images = Outline(page(tmp_path / "r")).all("img")
    assert len(images) == 2
    assert all((image["src"] or "").startswith("data:image/png;base64,iVBOR") for image in images)


def test_a_sweep_shows_its_maps_with_the_theory_and_every_point(results: Path) -> None:
    text = page(results / "sweep")
    outline = Outline(text)
    assert len(outline.all("svg")) == 3
    assert "noise rule, 3 sigma" in text
    words = "".join(outline.words)
    assert f"achieved over alpha: {METRICS['achieved'].definition}" in words
    assert "verdict: what the majority of the runs at a point came to" in words
    rows = text[text.index('id="Points"') :].partition("</section>")[0].count("<tr>")
    assert rows == 1 + 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("saturated", "saturated", "oscillates", "stuck"),
            "no point converges; best by verdict, then by the shortest response at p99: "
            "alpha=0.1, deadzone=1.3, saturated, achieved 97.0 %, response 0.62 s at p99",
        ),
        (
            ("saturated", "saturated", "oscillates", "converges"),
            "best by verdict, then by its share and what it achieves: "
            "alpha=0.2, deadzone=1.3, converges, achieved 80.0 %, response 0.1 s at p99",
        ),
    ],
)
def test_the_best_of_a_sweep_says_by_what(
    words: tuple[str, ...], said: str, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "sweep", tmp_path / "r")
    path = tmp_path / "r" / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    numbers = zip(words, (0.991, 0.97, 0.99, 0.8), (9.8, 0.62, 0.1, 0.1), strict=True)
    for point, (word, achieved, p99) in zip(summary["points"], numbers, strict=True):
        point |= {"verdict": word, "achieved": achieved, "response_p99": p99}
    path.write_text(json.dumps(summary), encoding="utf-8")
    shown = "".join(Outline(page(tmp_path / "r")).words)
    assert said in shown
    assert ("no point converges" in shown) == said.startswith("no point")


def test_late_policies_stand_side_by_side(results: Path) -> None:
    words = "".join(Outline(page(results / "late")).words)
    assert "stall: what becomes of missed slots" in words


def test_a_league_shows_its_standings_and_every_cell(results: Path) -> None:
    text = page(results / "league")
    summary = json.loads((results / "league" / "summary.json").read_text(encoding="utf-8"))
    assert "<h1>3 throttles on 2 scenarios, ranked</h1>" in text
    first = summary["standings"][0]
    assert (
        f"First of 3: <b>{first['throttle']}</b>, a score of {first['score']['mean']:.3f}" in text
    )
    outline = Outline(text)
    (picture,) = outline.all("img")
    assert picture["alt"] == "score and verdict of every throttle on every scenario"
    (cells,) = re.findall(r'aria-label="cells".*?</table>', text, re.DOTALL)
    assert cells.count("<tr>") == 1 + len(summary["cells"])


def test_services_at_random_are_shown_by_family_and_one_by_one(results: Path) -> None:
    text = page(results / "services")
    summary = json.loads((results / "services" / "summary.json").read_text(encoding="utf-8"))
    assert "<h1>3 throttles on 3 services at random</h1>" in text
    first = summary["standings"][0]
    assert (
        f"First of 3: <b>{first['throttle']}</b>, a share of {first['share']['mean']:.3f}" in text
    )
    assert "on 3 services of 2 families" in text
    (families,) = re.findall(r'aria-label="by family".*?</table>', text, re.DOTALL)
    assert families.count("<tr>") == 1 + 2 * 3
    (services,) = re.findall(r'aria-label="services".*?</table>', text, re.DOTALL)
    assert services.count("<tr>") == 1 + 3 * 3
    assert "93.75 % for the median" not in text  # of three services nothing is claimed
    assert "3 replications are too few" not in text


def test_a_live_run_shows_numbers_with_definitions_and_its_failures_as_text(results: Path) -> None:
    text = page(results / "live")
    outline = Outline(text)
    assert len(outline.all("svg")) == 1
    assert "call &lt;b&gt;3&lt;/b&gt;" in text
    assert "call <b>" not in text
    for unit, definition in MEANINGS.values():
        assert definition in "".join(outline.words)
        assert unit
    assert list(MEANINGS) == [name for name in Report._fields if name != "verdict"]


def test_what_is_wanted_over_time_is_told_as_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of a profile, not its end; and the profile itself, not its highest rate."""
    monkeypatch.chdir(tmp_path)
    stages = ["--stages", "100ms:200,300ms:200,100ms:0"]
    assert main(["live", "--call", "math:sqrt", "--out", "out", "--quiet", *stages]) in (0, 1)
    report = json.loads((tmp_path / "out" / "summary.json").read_text())["report"]
    assert report["target"] == 0.0 < report["wanted"]
    assert f"wanted {number(report['wanted'])}" in "".join(Outline(page(tmp_path / "out")).words)
    laws = ["--scenarios", "blocking-steady", "--controllers", "fixed", "--stages", "1s:60,1s:90"]
    assert main(["compare", "--out", "profile", *laws, *FEW]) == 0
    (shown,) = re.findall(r"wanted .*? s\b", capsys.readouterr().out.rpartition("blocking-")[2])
    assert "1s:90" in shown
    assert shown in "".join(Outline(page(tmp_path / "profile")).words)


def parts(text: str) -> list[str]:
    """The sections of a page in their order."""
    return re.findall(r'<section id="[^"]+"><h2>(.*?)</h2>', text)


@pytest.mark.parametrize("kind", ["tune", "pareto"])
def test_a_search_tells_its_law_its_gain_and_its_price_before_all_numbers(
    kind: str, results: Path
) -> None:
    text = page(results / kind)
    outline = Outline(text)
    summary = json.loads((results / kind / "summary.json").read_text(encoding="utf-8"))
    assert "<h1>aimd tuned on blocking-steady:duration=5</h1>" in text
    assert parts(text)[:4] == ["At a glance", "Pictures", "Parameters", "Scenarios"]
    assert parts(text)[-2:] == ["Definitions", "Configuration and versions"]
    glance = "".join(
        Outline(
            text[text.index('<section id="At') :].partition("</section>")[0] + "</section>"
        ).words
    )
    assert summary["line"] in glance
    for aim, gain in zip(summary["objectives"], summary["gain"], strict=True):
        assert f"{aim['name']}" in glance
        assert (
            f"gain {number(gain['mean'], 3)} [{number(gain['low'], 3)}, {number(gain['high'], 3)}]"
            in glance
        )
    for change in summary["worse"][:3]:
        assert change["measure"] in glance
    assert len(outline.all("img")) == len(list((results / kind).glob("*.png")))
    definitions = " ".join(th.get("title") or "" for th in outline.all("th"))
    for name, metric in METRICS.items():
        assert f"{name} ({metric.unit}): {metric.definition}" in definitions
    words = "".join(outline.words)
    for raw in ("at_edges", "scenario_outcomes", "default_parameters", "search_said"):
        assert raw not in words


def test_a_replay_tells_whether_it_was_decided_as_recorded_and_each_law(results: Path) -> None:
    text = page(results / "replay")
    outline = Outline(text)
    summary = json.loads((results / "replay" / "summary.json").read_text(encoding="utf-8"))
    assert "<h1>fixed, live, decided again; and what 1 other law would have done</h1>" in text
    assert parts(text) == [
        "At a glance",
        "Rates",
        "The live run in numbers",
        "Configuration and versions",
    ]
    words = "".join(outline.words)
    decisions = summary["decisions"]
    assert f"The replay equals the recording: {decisions} decisions, to the bit" in words
    row = summary["numbers"]["ewma-deadzone"]
    assert list(row) == list(NUMBERS)
    for name, (head, scale, unit, definition) in NUMBERS.items():
        assert f"{head} {unit}" in words
        assert f"{head}, {unit}: {definition}" in [th.get("title") for th in outline.all("th")]
        assert number(row[name] * scale) in words
    # nobody waited for a worker, for one
    listed = [name for name in MEANINGS if name in summary["report"]]
    assert len(listed) > 0.8 * len(MEANINGS)
    for name in listed:
        assert name in words.replace("\u200b", "")
        assert MEANINGS[name][1] in words
    assert "e stop" not in words
    assert len(outline.all("img")) == 1


def test_a_replay_that_differs_says_so_first(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "replay", tmp_path / "r")
    path = tmp_path / "r" / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps({**summary, "difference": "event 3: <rate>", "report": {}, "complete": False})
    )
    text = page(tmp_path / "r")
    assert "<b>The replay differs from the recording: event 3: &lt;rate&gt;</b>" in text
    assert "cut off before the end" in text
    assert "The live run in numbers" not in text


def test_what_has_no_page_of_its_own_is_shown_as_tables() -> None:
    best = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 5, "never": 0}
    definitions = {"achieved": {"unit": "share", "definition": "what it <b>says</b>"}}
    document = {
        "winner": {"parameters": {"alpha": 0.25}, "achieved": best},
        "trials": [
            {"alpha": 0.25, "achieved": best, "verdict": "converges"},
            {"alpha": 1e-9, "more": [1, None]},
        ],
        "deep": {
            "a": {"b": {"c": {"d": {"e": "</script><script>alert(1)</script>"}}}},
            "empty": {},
            "none": [],
        },
    }
    outline = Outline(rendered("blocks.html", blocks=generic(document, definitions)))
    assert outline.all("script") == []
    words = "".join(outline.words)
    assert "0.500 ±0.100" in words
    assert "achieved (share): what it <b>says</b>" in [th.get("title") for th in outline.all("th")]
    assert "</script><script>alert(1)</script>" in words


def test_words_and_numbers() -> None:
    assert list(WORD_MEANINGS) == list(WORDS)
    shown = [number(x) for x in (0.0, -3.0, 0.08, 1234.56, 1e-12, float("inf"), float("nan"), None)]
    assert shown == ["0", "-3", "0.08", "1,234.6", "1e-12", "never", "-", "-"]


def folders(root: Path) -> Iterator[tuple[Path, str]]:
    yield root / "nothing", "is not there; allowed: a folder that compare"
    (root / "file").write_text("x", encoding="utf-8")
    yield root / "file", "another verb of tpssim wrote; `replay` makes one of a recording"
    for name, files, message in (
        ("empty", {}, "there is no run.json in it"),
        ("theirs", {"run.json": "{}"}, "its run.json is another program's"),
        ("list", {"run.json": "[1]"}, "holds no JSON object"),
        ("broken", {"run.json": "{\n\n"}, "cannot be read as JSON"),
        ("half", {"run.json": '{"tpssim": "1", "command": "x"}'}, "there is no summary.json in it"),
    ):
        (root / name).mkdir()
        for file, text in files.items():
            (root / name / file).write_text(text, encoding="utf-8")
        yield root / name, message


def test_what_is_no_result_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, message in folders(tmp_path):
        assert main(["report", str(folder), "-o", str(tmp_path / "out.html")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


def test_a_broken_trace_is_named(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(results / "simulate", tmp_path / "r")
    (tmp_path / "r" / "trace.npz").write_bytes(b"PK\x03\x04 no archive")
    assert main(["report", str(tmp_path / "r")]) == 2
    assert "trace.npz' is no trace" in capsys.readouterr().err
    assert not (tmp_path / "r" / "report.html").exists()


def test_the_file_is_whole_and_replaces_only_a_page(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "r.html"
    assert main(["report", str(results / "simulate"), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == out.stat().st_size
    assert [path.name for path in out.parent.iterdir()] == ["r.html"]
    assert main(["report", str(results / "simulate"), "--out", str(out)]) == 0
    thesis = tmp_path / "thesis.html"
    thesis.write_text("years", encoding="utf-8")
    for target in (thesis, tmp_path):
        assert main(["report", str(results / "simulate"), "-o", str(target)]) == 2
        assert "is no page of tpssim's" in capsys.readouterr().err
    assert thesis.read_text(encoding="utf-8") == "years"
    assert main(["report", str(results / "simulate"), "-o", str(thesis / "r.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_page_can_start_no_run() -> None:
    code = "import sys, tpssim.output.html.page; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    runners = {
        "simulation.simpy_engine",
        "simulation.run",
        "simulation.environment",
        "simulation.compiled.engine",
        "simulation.hosting.runner",
        "experiments.compare",
        "experiments.sweep.sweep",
        "live.throttle",
    }
    assert {f"tpssim.{name}" for name in runners} & set(done.stdout.split()) == set()


def column(driver: Any, table: int, number: int) -> list[str]:
    """The text of a column."""
    script = (
        "return [...document.querySelectorAll('table')[arguments[0]].tBodies[0].rows]"
        ".map(row => row.cells[arguments[1]].innerText.split(' ')[0])"
    )
    found: list[str] = driver.execute_script(script, table, number)
    return found


def test_in_a_browser_it_is_quiet_sorts_and_explains(results: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as driver:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        for kind in KINDS:
            out = tmp_path / f"{kind}.html"
            assert main(["report", str(results / kind), "-o", str(out)]) == 0
            requested(driver)
            driver.get(out.as_uri())
            assert complaints(driver) == []
            assert requested(driver) == {out.as_uri()}
            for width in (390, 1280):
                size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                wide = driver.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width, "only tables and wide pictures scroll sideways"

        driver.get((tmp_path / "compare.html").as_uri())
        heads = driver.find_elements(By.TAG_NAME, "table")[1].find_elements(
            By.CSS_SELECTOR, "thead button"
        )
        achieved = next(i for i, head in enumerate(heads) if head.text.startswith("achieved"))
        before = column(driver, 1, achieved)
        heads[achieved].click()
        assert column(driver, 1, achieved) == sorted(before, key=float)
        heads[achieved].send_keys(Keys.ENTER)
        assert column(driver, 1, achieved) == sorted(before, key=float, reverse=True)
        heads[1].click()
        order = {word: place for place, word in enumerate(reversed(WORDS))}
        words = column(driver, 1, 1)
        assert words == sorted(words, key=order.__getitem__)
        assert len(set(words)) > 1

        tip = driver.find_element(By.ID, "tip")
        definition = METRICS["achieved"].definition
        driver.execute_script(
            "document.activeElement.blur(); document.getElementById('tip').hidden = true"
        )
        driver.execute_script("arguments[0].focus()", heads[achieved])
        assert definition in tip.text, "by keyboard"
        ActionChains(driver).send_keys(Keys.ESCAPE).perform()
        assert not tip.is_displayed()
        cell = driver.find_elements(By.TAG_NAME, "table")[1].find_elements(By.TAG_NAME, "td")[
            achieved - 1
        ]
        ActionChains(driver).move_to_element(cell).perform()
        assert definition in tip.text, "by mouse"
        assert complaints(driver) == []

        driver.execute_cdp_cmd("Page.printToPDF", {})
        assert driver.find_elements(By.CSS_SELECTOR, "details[open]") == [], (
            "folded again after printing"
        )


def test_schemes_have_contrast_enough_to_read() -> None:
    """WCAG 2: text needs a contrast of 4.5 to 1 with the paper, a line of a picture 3 to 1."""
    templates = ROOT / "tpssim" / "output" / "html" / "templates"
    css = (templates / "page.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6});", part))
        for part in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    )
    for scheme in (light, dark):
        for name in ("ink", "soft", "accent"):
            assert contrast(scheme[name], scheme["paper"]) >= 4.5, name
            assert contrast(scheme[name], scheme["raised"]) >= 4.5, name
        for name in ("blue", "orange"):
            assert contrast(scheme[name], scheme["paper"]) >= 3.0, name


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
