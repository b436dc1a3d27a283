"""Every example in a docstring runs and shows what it says, and every public name has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
from typing import Any

import pytest
from helpers import ROOT

import tpssim

NAMES = [
    module.name
    for module in pkgutil.walk_packages(tpssim.__path__, "tpssim.")
    if not module.name.endswith("__main__")
]


def modules() -> tuple[str, ...]:
    """The modules of the API pages, as `docs/api.py` names them."""
    source = (ROOT / "docs/api.py").read_text(encoding="utf-8")
    (found,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    )
    return tuple(found)


def public() -> dict[str, Any]:
    """Functions and classes that `tpssim` exports, the records of the API pages, and every law."""
    found = {f"tpssim.{name}": getattr(tpssim, name) for name in tpssim.__all__}
    for module in modules():
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, type) and hasattr(value, "_fields") and value.__module__ == module:
                found.setdefault(
                    f"tpssim.{name}" if name in tpssim.__all__ else f"{module}.{name}", value
                )
    return found | {f"law {name}": law for name, law in tpssim.CONTROLLERS.items()}


PUBLIC = public()


@pytest.mark.parametrize("name", ["tpssim", *NAMES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example(name: str) -> None:
    value = PUBLIC[name]
    if isinstance(value, type) or callable(value):
        parser = doctest.DocTestParser()
        assert parser.get_examples(value.__doc__ or ""), f"{name} has no example"
    elif not hasattr(
        value, "_fields"
    ):  # a dict has no docstring of its own: the package's shows it
        assert f"{name.rpartition('.')[2]}[" in (tpssim.__doc__ or "")


def test_the_public_names_are_found() -> None:
    assert {"tpssim.compare", "tpssim.Scenario", "tpssim.Gamma", "law headroom"} <= PUBLIC.keys()
    assert len(PUBLIC) > 60
