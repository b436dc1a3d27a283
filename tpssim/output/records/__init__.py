"""Results as typed records: what a run of a verb leaves, as plain data.

`record.to_dict()` is the content of its `summary.json`, `from_dict` reads that back. This package
knows no run: the objects that do make their records themselves (`Comparison.record()`, ...).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.types import VERSION
from tpssim.output.records.checks import field, first, hints_of
from tpssim.output.records.comparisons import CompareRecord, LeagueRecord, SimulateRecord
from tpssim.output.records.fits import FitRecord
from tpssim.output.records.live_runs import CalibrateRecord, LiveRecord, ReplayRecord
from tpssim.output.records.parts import SCHEMA, Record
from tpssim.output.records.predictions import AnalyseRecord, ValidateLiveRecord, ValidateRecord
from tpssim.output.records.recommendations import RecommendRecord
from tpssim.output.records.searches import SweepRecord, TuneRecord
from tpssim.output.records.services import ServicesRecord

__all__ = [
    "KINDS",
    "SCHEMA",
    "AnalyseRecord",
    "CalibrateRecord",
    "CompareRecord",
    "FitRecord",
    "LeagueRecord",
    "LiveRecord",
    "RecommendRecord",
    "Record",
    "ReplayRecord",
    "ServicesRecord",
    "SimulateRecord",
    "SweepRecord",
    "TuneRecord",
    "ValidateLiveRecord",
    "ValidateRecord",
    "from_dict",
]

KINDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        CompareRecord,
        LeagueRecord,
        ServicesRecord,
        SimulateRecord,
        SweepRecord,
        TuneRecord,
        ReplayRecord,
        FitRecord,
        RecommendRecord,
        AnalyseRecord,
        ValidateRecord,
        ValidateLiveRecord,
        LiveRecord,
        CalibrateRecord,
    )
}


def from_dict(document: Mapping[str, Any]) -> Record:
    """The record of which a JSON document is the `to_dict`; raises `InputError` in one line.

    >>> from_dict({"kind": "compare", "schema_version": 1})
    Traceback (most recent call last):
    tpssim.core.errors.InputError: tpssim is missing; allowed: text
    """
    version, kind = document.get("schema_version"), document.get("kind")
    if version != SCHEMA or isinstance(version, bool):
        shown = f"is {version!r:.40}" if "schema_version" in document else "is missing"
        raise InputError(
            f"schema_version {shown}; allowed: {SCHEMA}, as tpssim {VERSION} has it"
            f"{_made_again(document)}"
        )
    if not isinstance(kind, str) or kind not in KINDS:
        shown = f"is {kind!r:.40}" if "kind" in document else "is missing"
        raise InputError(f"kind {shown}; allowed: {', '.join(KINDS)}")
    shape: Any = KINDS[kind]
    fields = [field.name for field in dataclasses.fields(shape)]
    names = [name for name in fields if name in document or name not in shape.SPARSE]
    hints = hints_of(shape)
    if found := first(field(document, name, hints[name], "") for name in names):
        raise InputError(found)
    made: Record = shape(**{name: document[name] for name in names})
    if found := first(made.faults()):
        raise InputError(found)
    return made


def _made_again(document: Mapping[str, Any]) -> str:
    """Who wrote a document of another schema, and the command that makes it in this one."""
    by, command = document.get("tpssim"), document.get("command")
    writer = f"; written by tpssim {by!s:.40}" if isinstance(by, str) else ""
    return writer + (f"; make it again: {command}" if isinstance(command, str) and command else "")
