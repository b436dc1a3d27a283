"""The public names: one map, which type checkers see as it is (`helpers.typed_use`)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tpssim

SOURCE = Path(tpssim.__file__)


def test_every_public_name_is_there() -> None:
    for name in tpssim.__all__:
        assert getattr(tpssim, name) is not None
    assert dir(tpssim) == sorted(tpssim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(tpssim, "nothing")  # noqa: B009  # a type checker knows that it is not there


def test_what_a_type_checker_reads_is_what_is_loaded() -> None:
    (hidden,) = (
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: (node.module or "").removeprefix("tpssim.")
        for node in hidden.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == tpssim._MODULES
