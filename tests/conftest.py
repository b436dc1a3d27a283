"""Shared by all tests: Hypothesis is deterministic in CI; data that is not there is skipped by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

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
