"""Where compiled code is kept."""

from __future__ import annotations

import os
from pathlib import Path

ENDING = ".nbc"


def kept_in() -> Path:
    """The folder of that of all sources, which need not be there."""
    base = (
        os.environ.get("NUMBA_CACHE_DIR")
        or os.environ.get("XDG_CACHE_HOME")
        or str(Path.home() / ".cache")
    )
    return Path(base) / "tpssim" / "compiled"
