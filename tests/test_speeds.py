"""The two speeds of the tests: what is left out in daily work is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import SLOW


@pytest.mark.parametrize("entry", SLOW)
def test_what_is_listed_as_slow_is_a_test(entry: str) -> None:
    """A test that was renamed would come back into the daily run."""
    file, _, name = entry.partition("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name.rstrip('[')}", text, re.M)
