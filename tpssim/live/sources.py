"""Items, fetched one at a time; one that was fetched and not released comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Source(Generic[T]):
    """The items of a plain iterable. Only the head of the queue fetches, one at a time."""

    def __init__(self, items: Iterator[T]) -> None:
        self.items = items
        self.waiting: deque[T] = deque()  #: fetched, and not released yet
