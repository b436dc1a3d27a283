"""A quota as it stands on a command line: `500/1m`, `200000/1m:cost`."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record

WORDS = ("cost", "fixed")
UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
QUOTA = re.compile(r"([^/:]+)/(\d*\.?\d*(?:[eE]-?\d+)?)(ms|s|m|h)?((?::\w+)*)")


@record
class QuotaText(NamedTuple):
    """What such a text says."""

    amount: float
    per: float  #: s
    words: tuple[str, ...]

    @property
    def of(self) -> str:
        return "cost" if "cost" in self.words else "calls"

    @property
    def window(self) -> str:
        return "fixed" if "fixed" in self.words else "rolling"


def quota_text(text: str) -> QuotaText:
    """AMOUNT/PER, with some of `WORDS` behind colons; raises `InputError`.

    >>> quota_text("200000/1m:cost")
    QuotaText(amount=200000.0, per=60.0, words=('cost',))
    """
    found = QUOTA.fullmatch(text.strip())
    amount = per = math.nan
    said: list[str] = []
    if found:
        number, length, unit, rest = found.groups()
        said = rest.split(":")[1:]
        try:
            amount = float(number)
            per = float(length or "1") * UNITS[unit or "s"] if length or unit else math.nan
        except ValueError:
            pass
    if (
        not (0.0 < amount < math.inf and 0.0 < per < math.inf)
        or len(set(said)) < len(said)
        or not set(said) <= set(WORDS)
    ):
        raise InputError(
            f"--quota {text!r}; allowed: AMOUNT/PER above 0, such as 500/1m or 10/s (ms, s, m, h),"
            f" and :{' or :'.join(WORDS)} behind it"
        )
    return QuotaText(amount, per, tuple(said))
