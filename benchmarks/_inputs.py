"""Bad input of a benchmark is one line and exit code 2, as of every command."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tpssim.core.errors import InputError


def ended(main: Callable[[], int]) -> int:
    """The exit code of a benchmark."""
    try:
        return main()
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
