"""A real browser for tests: headless Chromium as the distribution packages it, driven by
selenium.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A driver; the test is skipped, by name, where there is no browser."""
    selenium = pytest.importorskip("selenium", reason="selenium is not installed")
    browser = shutil.which("chromium")
    control = shutil.which("chromedriver")
    if browser is None or control is None:
        pytest.skip("no browser: chromium or chromedriver is not installed")
    assert selenium is not None
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(control))
    try:
        # Away from the page for new tabs, which loads parts of itself for seconds.
        driver.get("about:blank")
        yield driver
    finally:
        driver.quit()


def complaints(driver: Any) -> list[str]:
    """What the browser's console says since it was asked last."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requested(driver: Any) -> set[str]:
    """The addresses that pages asked for since the browser was asked last; its own pages are left
    out.
    """
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    requests = (
        event["params"] for event in events if event["method"] == "Network.requestWillBeSent"
    )
    return {
        request["request"]["url"]
        for request in requests
        if not request["request"]["url"].startswith(("chrome", "data:"))
        and not request["documentURL"].startswith("chrome")
    }
