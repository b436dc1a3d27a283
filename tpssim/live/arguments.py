"""What a caller may hand to a throttle, checked and turned into what the flow works with."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import random
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tpssim.controllers import CONTROLLERS, law_named
from tpssim.core import Controller, InputError, checked
from tpssim.pacing import Late, late_policy

T = TypeVar("T")


def law_of(controller: Any) -> tuple[str, Controller[Any]]:
    """(name, law) of a record, of a class of records with its defaults, of `NAME:key=value,...`, or of None:
    the fixed rate. Raises `InputError`."""
    if controller is None:
        controller = "fixed"
    if isinstance(controller, str):
        return law_named(controller)
    if isinstance(controller, type) and hasattr(controller, "init") and hasattr(controller, "update"):
        try:
            controller = controller()
        except TypeError as error:
            needs = "allowed: a record, or a class that needs no arguments"
            raise InputError(f"controller={controller!r}: {error}; {needs}") from error
    for name, law in CONTROLLERS.items():
        if type(controller) is law:
            return name, checked(controller, name)
    if not hasattr(controller, "init") or not hasattr(controller, "update"):
        raise InputError(
            f"controller={controller!r}; allowed: a name, or a record or class with init and update"
        )
    name = type(controller).__name__
    return name, checked(controller, name) if hasattr(controller, "_fields") else controller


def late_of(late: Late | str) -> Late:
    """A late policy or its name as a policy; raises `InputError`."""
    if isinstance(late, str):
        return late_policy(late)
    if not isinstance(late, Late):
        raise InputError(f"late={late!r}; allowed: burst, capped(N), delay, skip")
    return late


def checked_call(call: Any, asynchronous: bool) -> None:
    """Refuse what cannot be called, and a coroutine function where nobody awaits; raises `InputError`."""
    if not callable(call):
        raise InputError(f"call={call!r}; allowed: a function of an item")
    if not asynchronous and inspect.iscoroutinefunction(call):
        raise InputError(f"call={call!r} is asynchronous; allowed: with arun")


def checked_record(record: str | Path | None) -> Path | None:
    """Where to record, as a path; raises `InputError`."""
    if record is not None and not isinstance(record, str | os.PathLike):
        raise InputError(f"record={record!r}; allowed: a path, or None")
    return None if record is None else Path(record)


def checked_rate(tps: float) -> float:
    """A wanted rate as a float; raises `InputError`."""
    if isinstance(tps, bool) or not isinstance(tps, int | float) or not 0.0 < tps < math.inf:
        raise InputError(f"tps={tps!r}; allowed: a number in (0, inf)")
    return float(tps)


def checked_total(total: int | None) -> int | None:
    """A number of items, or None for one pass; raises `InputError`."""
    if total is not None and (isinstance(total, bool) or not isinstance(total, int) or total < 0):
        raise InputError(f"total={total!r}; allowed: a whole number >= 0, or None for one pass")
    return total


class Uniforms:
    """Uniform draws in the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random

    def __getitem__(self, _: int) -> float:
        return self._draw()


def draws(seed: int) -> tuple[Uniforms, Uniforms]:
    """The draws of a run: for laws that probe at random, and for local refusals."""
    return Uniforms(2 * seed), Uniforms(2 * seed + 1)


def cycled(items: Iterable[T], total: int | None) -> Iterator[T]:
    """One pass, or `total` items with the iterable begun anew at its end; nothing if it is empty.

    Only an iterator, which cannot be begun anew, has its items kept in memory.

    >>> list(cycled("abc", 5))
    ['a', 'b', 'c', 'a', 'b']
    """
    try:
        iterator = iter(items)
    except TypeError:
        raise InputError(f"items is a {type(items).__name__}; allowed: an iterable") from None
    if checked_total(total) is None:
        return iterator
    if iterator is items:
        return itertools.islice(itertools.cycle(iterator), total)
    return itertools.islice(_again_and_again(iterator, items), total)


def _again_and_again(first: Iterator[T], items: Iterable[T]) -> Iterator[T]:
    passing: Iterable[T] = first
    empty = False
    while not empty:
        empty = True
        for item in passing:
            empty = False
            yield item
        passing = items


async def cycled_async(items: AsyncIterable[T], total: int | None) -> AsyncIterator[T]:
    """As `cycled`, of an asynchronous iterable."""
    kept: list[T] | None = [] if total is not None and aiter(items) is items else None
    given, empty = 0, False
    while given != total and not empty:
        empty = True
        async for item in items:
            if given == total:
                return
            empty = False
            given += 1
            if kept is not None:
                kept.append(item)
            yield item
        if total is None:
            return
        if kept is not None:
            for item in itertools.islice(itertools.cycle(kept), total - given):
                yield item
            return
