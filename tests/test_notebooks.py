"""The notebooks run in a real kernel and show what their text says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"


@pytest.fixture(scope="module")
def executed() -> dict[str, Any]:
    """Every notebook after a run from a clean kernel, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, 4)
        where = {"metadata": {"path": str(FOLDER.parent)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
        found[path.stem] = notebook
    return found


def printed(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell["outputs"])


def test_oscillation_and_convergence(executed: dict[str, Any]) -> None:
    cells = executed["02_oscillation_and_convergence"]["cells"]
    verdicts, figures = (json.loads(line) for line in printed(cells[-1]).splitlines())
    assert verdicts["verdicts"] == {
        "printed-sleep": "drifts",
        "printed-schedule": "converges",
        "printed-spin": "saturated",
        "printed-aimd": "oscillates",
        "printed-ewma": "stuck",
        "ewma-deadzone": "stuck",
        "headroom": "converges",
    }
    for label, words in verdicts["constants"].items():
        assert (set(words) == {"converges"}) == (label == "headroom"), f"the text says so of {label}"
    assert figures["degraded"] >= 0.9
    assert figures["recovery"] < 2.0
    pictures = [
        output
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2


def test_sweeps(executed: dict[str, Any]) -> None:
    cells = executed["03_sweeps"]["cells"]
    figures, enough = (json.loads(line) for line in printed(cells[-1]).splitlines())
    steady, recover = figures["shares"]["steady"], figures["shares"]["recover"]
    assert 0.05 < steady["converges"] < 0.15, "a narrow corridor"
    assert steady["saturated"] > 0.5
    assert recover.get("converges", 0.0) < 0.01, "the corridor is gone"
    assert 0 < figures["sample"] < 10, "a few of 256"
    thresholds = enough["spin_threshold"]
    assert thresholds["linux"] < 0.0005 < thresholds["asyncio-epoll"] < thresholds["windows-1ms"]
    pictures = [o for cell in cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 5


def test_committed_outputs_hold_no_error() -> None:
    for path in FOLDER.glob("*.ipynb"):
        for cell in nbformat.read(path, 4)["cells"]:
            for output in cell.get("outputs", []):
                assert output["output_type"] != "error"
                assert output.get("name") != "stderr", f"{path.name}: {output}"
