"""A test that hangs fails, and does not hang the suite."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, body: Callable[[], T]) -> T:
    """What `body()` returns or raises, in a thread of its own; it may take so long."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(body())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        faulthandler.dump_traceback(2)
        raise AssertionError(f"it hangs: not over after {seconds:g} s")
    if errors:
        raise errors[0]
    return answers[0]
