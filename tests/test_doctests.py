"""Every example in a docstring runs and shows what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import tpssim

NAMES = [
    module.name
    for module in pkgutil.walk_packages(tpssim.__path__, "tpssim.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    modules = [importlib.import_module(name) for name in NAMES]
    assert sum(len(doctest.DocTestFinder().find(module)) for module in modules) > 20
