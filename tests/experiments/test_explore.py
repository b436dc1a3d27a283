"""`explore`: what the sliders come to, as functions, as widgets, and in a notebook in a real
browser.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.browser import chromium
from matplotlib.image import imread

from tpssim import SCENARIOS, InputError, Scenario, Trace, explore
from tpssim.cli.main import main
from tpssim.core.types import FAILED, OK
from tpssim.experiments.explore import Choice, curves, verdict_text, view
from tpssim.scenarios.service_times import Constant

MOVED = Choice("blocking-steady", 3, alpha=0.08, deadzone=1.12, spin_threshold=0.001)


def pixels(png: bytes) -> Any:
    return imread(io.BytesIO(png))


def test_the_command_makes_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = view(MOVED)
    words = seen.command.split()
    assert words[:4] == ["python", "-m", "tpssim", "simulate"]
    assert words[4] == "blocking-steady:spin_threshold=0.001"
    assert main([*words[3:], "--json", "--out", str(tmp_path / "r")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == {**seen.verdict._asdict(), "remark": ""}
    for name, value in document["metrics"].items():
        assert value is None or value == seen.measures[name]


def test_the_constants_of_the_article_need_no_naming() -> None:
    assert Choice().command() == "python -m tpssim simulate degrade-recover ewma-deadzone --seed 0"
    assert view(Choice()).verdict.word == "stuck", "as the article's throttle 5 does"


def test_the_picture_moves_and_keeps_its_baseline() -> None:
    before, after, again = (
        pixels(view(choice).png) for choice in (Choice(), Choice(alpha=0.02), Choice())
    )
    assert before.shape == after.shape
    assert (before == again).all(), "nothing of the lines before is left"
    assert (before != after).any()
    grey = np.isclose(before[..., :3], 0x9A / 0xFF, atol=1e-3).all(axis=-1)
    assert grey.any()
    moved = pixels(view(Choice(deadzone=2.0)).png)
    still = np.isclose(moved[..., :3], 0x9A / 0xFF, atol=1e-3).all(axis=-1)
    assert still.sum() > 200, "the article's constants, in grey"


def test_curves_by_hand() -> None:
    """A bin is a second; four calls end in the first, one in the third, one fails, one ends too
    late.
    """
    plant = Scenario("s", Constant(0.1), 10.0, 120.0)
    scheduled = np.array([0.0, 0.0, 0.8, 0.0, 2.0, 2.0, 119.0])
    completed = np.array([0.5, 0.7, 0.9, 0.25, 2.5, 2.5, 121.0])
    outcome = np.array([OK, OK, OK, OK, OK, FAILED, OK], dtype=np.int8)
    rate = np.full(7, 4.0)
    none, one = np.full(7, np.inf), np.ones(7)
    producer = np.zeros(7, dtype=np.int32)
    latency = completed - scheduled
    trace = Trace(
        scheduled, scheduled, completed, latency, rate, none, one, outcome, producer, one, plant, {}
    )
    found = curves(trace)
    assert found.delivered[:4].tolist() == [4.0, 0.0, 1.0, 0.0]
    assert found.median[0] == pytest.approx(0.25), (
        "of 0.1, 0.25, 0.5, 0.7 the lower one in the middle"
    )
    assert found.most[0] == pytest.approx(0.7)
    assert found.median[2] == found.most[2] == 0.5
    assert np.isnan(found.median[[1, 3]]).all()
    assert (found.commanded == 4.0).all()


def test_every_arena_can_be_seen() -> None:
    for name in SCENARIOS:
        choice = Choice(name)
        seen = view(choice)
        assert verdict_text(seen, choice).count(f"<b>{seen.verdict.word}</b>") == 2


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice("nowhere"), "no scenario 'nowhere'; allowed: FILE.toml, or those"),
        (Choice(alpha=0.0), "alpha=0 is out of range; allowed: (0, 1]"),
        (Choice(seed=-1), "seed=-1; allowed"),
    ],
)
def test_bad_choices_are_named(choice: Choice, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace("]", r"\]")):
        view(choice)


def test_without_ipywidgets_it_says_what_is_missing() -> None:
    code = "import sys; sys.modules['ipywidgets'] = None; import tpssim; tpssim.explore()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "explore() needs the extra notebook: pip install 'tpssim[notebook]'" in done.stderr


def test_widgets_follow_their_sliders() -> None:
    pytest.importorskip("ipywidgets", reason="the extra notebook is not installed")
    box = explore("blocking-steady", seed=3)
    row, verdict, command = box.children
    controls, picture = row.children
    sliders = {control.description: control for control in controls.children}
    before = picture.value
    assert before == view(Choice("blocking-steady", 3)).png
    sliders["ALPHA"].value = 0.08
    sliders["DEADZONE"].value = 1.12
    sliders["spin (ms)"].value = 1.0
    assert command.value == MOVED.command()
    assert picture.value == view(MOVED).png != before
    assert view(MOVED).verdict.word in verdict.value
    sliders["scenario"].value = "spikes"
    sliders["seed"].value = 4
    assert command.value.split()[4:] == [
        "spikes:spin_threshold=0.001", "ewma-deadzone:alpha=0.08,deadzone=1.12", "--seed", "4",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook with one cell, in a JupyterLab of its own."""
    if importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("no JupyterLab: the extra notebook is not installed")
    import nbformat  # which takes 2 s, in each process that collects

    cell = nbformat.v4.new_code_cell("import tpssim\n\ntpssim.explore()")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    home = tmp_path / "home"
    home.mkdir()
    nbformat.write(notebook, home / "explore.ipynb")
    port = free_port()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "IdentityProvider.token": "",
        "ServerApp.root_dir": home,
        "ServerApp.open_browser": False,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    paths = {
        f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")
    } | {
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    root = str(ROOT)
    environment = {**os.environ, **paths, "PYTHONPATH": root}
    command = [sys.executable, "-m", "jupyterlab", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=home)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                assert server.poll() is None, (tmp_path / "lab.log").read_text(encoding="utf-8")[
                    -2000:
                ]
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"{address}/doc/tree/explore.ipynb"
        finally:
            server.terminate()
            server.wait(timeout=30)


def test_in_a_notebook_a_slider_moved_by_keyboard_changes_the_picture(
    lab: str, tmp_path: Path
) -> None:
    with chromium(tmp_path / "profile") as driver:
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys
        from selenium.webdriver.support.ui import WebDriverWait

        # The page lays its cells out again while it loads: what was found a moment ago may be
        # gone or covered.
        passing = (StaleElementReferenceException, ElementClickInterceptedException)
        wait = WebDriverWait(driver, 120, ignored_exceptions=passing)

        def command() -> str:
            boxes = driver.find_elements(By.CSS_SELECTOR, ".widget-text input[type=text]")
            return str(boxes[-1].get_property("value")) if boxes else ""

        def picture() -> tuple[str, int]:
            image = driver.find_element(By.CSS_SELECTOR, "img.widget-image")
            return str(image.get_attribute("src")), int(image.get_property("naturalWidth"))

        def sliders(_: object) -> bool:
            """Whether the sliders are there; a cell that was not run yet is clicked and run by
            Shift+Enter.

            A prompt without text is one that the page has not drawn.
            """
            if driver.find_elements(By.CSS_SELECTOR, ".noUi-handle"):
                return True
            if driver.find_element(By.CSS_SELECTOR, ".jp-CodeCell .jp-InputPrompt").text == "[ ]:":
                driver.find_element(By.CSS_SELECTOR, ".jp-CodeCell .cm-content").click()
                if driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .cm-focused"):
                    ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(
                        Keys.SHIFT
                    ).perform()
            return False

        def says(text: str) -> bool:
            return text in driver.find_element(By.CSS_SELECTOR, ".widget-html table").text

        driver.get(lab)
        wait.until(
            lambda d: d.find_elements(
                By.CSS_SELECTOR, ".jp-Notebook-ExecutionIndicator[data-status=idle]"
            )
        )
        wait.until(sliders)
        wait.until(lambda d: picture()[1] > 0)
        before, width = picture()
        assert width == pixels(view(Choice()).png).shape[1]
        assert command() == Choice().command()
        handle = driver.find_element(By.CSS_SELECTOR, ".noUi-handle")
        driver.execute_script("arguments[0].focus()", handle)
        ActionChains(driver).send_keys(
            Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT
        ).perform()
        wait.until(lambda d: command() == Choice(alpha=0.23).command())
        wait.until(lambda d: picture()[0] != before)
        wait.until(lambda d: says(f"here {view(Choice(alpha=0.23)).verdict.word}"))
        assert says(f"the article's constants {view(Choice()).verdict.word}")
