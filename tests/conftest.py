"""Shared by all tests: Hypothesis is deterministic in CI; data that is not there is skipped by name.

Two processes run the tests. Those that live by the wall clock are one after the other in one of them, and so
are those of one law where it is compiled, because compiling it takes longer than all that is then run.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tpssim.services import draws

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

CLOCK = ("live/", "test_live_command.py", "test_parity.py", "test_server.py")
COMPILING = {"test_engine.py": "name", "test_lanes.py": "controller"}  #: and the argument that names the law


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.hasplugin("xdist"):
        return
    tests = Path(__file__).parent
    for item in items:
        name = item.path.relative_to(tests).as_posix()
        arguments = getattr(getattr(item, "callspec", None), "params", {})
        if name.startswith(CLOCK):
            item.add_marker(pytest.mark.xdist_group("clock"))
        elif COMPILING.get(name) in arguments:
            item.add_marker(pytest.mark.xdist_group(arguments[COMPILING[name]]))


SHARED = Path(__file__).parent.parent.parent / "shared"


def shared(request: pytest.FixtureRequest, folder: str) -> Path:
    path = SHARED / folder / str(request.param)
    if not path.is_file():
        pytest.skip(f"shared/{folder}/{request.param} is not beside this checkout")
    return path


@pytest.fixture
def shared_trace(request: pytest.FixtureRequest) -> Path:
    """A file of the shared recordings; the test is skipped where they are not beside the project."""
    return shared(request, "traces")


@pytest.fixture
def shared_golden(request: pytest.FixtureRequest) -> Path:
    """A recorded output of an original implementation; skipped as `shared_trace`."""
    return shared(request, "golden")


@pytest.fixture
def draws_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live throttle draws from the standard library; here it is given the model's numbers of seed 0."""
    streams = tuple(draws(name, 100_000, 0, 0) for name in ("law.uniform", "reject.uniform"))
    for room in ("flow", "playback"):
        monkeypatch.setattr(f"tpssim.live.{room}.draws", lambda seed: streams)
