"""The arguments of a throttle, checked and converted."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tpssim.controllers import CONTROLLERS, law_named
from tpssim.core.errors import InputError, no_such
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota, Quotas
from tpssim.core.schedule import POLICIES, Late, late_policy
from tpssim.core.types import Controller
from tpssim.core.validation import checked

T = TypeVar("T")

#: A wanted rate: a number, inf, or a profile over time.
Tps = float | Stages
#: What a call costs: a number, or a function of its item.
Cost = float | Callable[[Any], float]


def check_options(
    function: Callable[..., Any], of: Callable[..., Any], options: Iterable[str]
) -> None:
    """Raise `TypeError` for an option that neither a function nor the one to which it hands its
    options on (`of`) has, in the name of the first, which was called.
    """
    known = [
        name
        for each in (function, of)
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for name in options:
        if name not in known:
            raise TypeError(str(no_such("option", name, known, f"{function.__name__}: ")))


def law_of(controller: Any) -> tuple[str, Controller[Any]]:
    """(name, law) of a record, of a class of records with its defaults, of `NAME:key=value,...`, or
    of None: the fixed rate. Raises `InputError`."""
    if controller is None:
        controller = "fixed"
    if isinstance(controller, str):
        return law_named(controller)
    if (
        isinstance(controller, type)
        and hasattr(controller, "init")
        and hasattr(controller, "update")
    ):
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
        raise InputError(f"late={late!r}; allowed: {POLICIES}")
    return checked(late, "late")


def checked_call(call: Any, asynchronous: bool) -> None:
    """Refuse what cannot be called, and a coroutine function that nobody awaits; raises
    `InputError`.
    """
    if not callable(call):
        raise InputError(f"call={call!r}; allowed: a function of an item")
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise InputError(
            f"call={call!r} is a generator, which nobody iterates; allowed: a function"
        )
    if not asynchronous and inspect.iscoroutinefunction(call):
        raise InputError(f"call={call!r} is asynchronous; allowed: with arun")


def checked_record(record: str | Path | None) -> Path | None:
    """Where to record, as a path; raises `InputError`."""
    if record is not None and not isinstance(record, str | os.PathLike):
        raise InputError(f"record={record!r}; allowed: a path, or None")
    return None if record is None else Path(record)


def checked_rate(tps: float) -> float:
    """A wanted rate as a float, inf if none is wanted; raises `InputError`."""
    if isinstance(tps, bool) or not isinstance(tps, int | float) or not tps > 0.0:
        raise InputError(f"tps={tps!r}; allowed: a number in (0, inf]")
    try:
        return float(tps)
    except OverflowError:
        raise InputError(f"tps={str(tps)[:20]}...; allowed: a number that a float holds") from None


def checked_timeout(timeout: float | None) -> float | None:
    """How long to wait, s, or None for ever; raises `InputError`."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0.0:
        raise InputError(f"timeout={timeout!r}; allowed: seconds >= 0, or None")
    return float(timeout)


def checked_target(tps: Tps, name: str, law: Controller[Any]) -> float | Stages:
    """A wanted rate that the law can work with; raises `InputError`.

    >>> checked_target(math.inf, *law_of("netflix-vegas"))
    inf
    """
    if isinstance(tps, Stages):
        return tps
    if not isinstance(tps, int | float):
        raise InputError(f"tps={tps!r}; allowed: a number in (0, inf], or Stages")
    rate = checked_rate(tps)
    if rate == math.inf and getattr(law, "needs_target", False):
        able = ", ".join(name for name, other in CONTROLLERS.items() if not other.needs_target)
        raise InputError(
            f"tps=inf with {name}, which starts from the wanted rate; allowed: a number, or one of"
            f" {able}"
        )
    return rate


def checked_cost(cost: float) -> float:
    """What a call costs; raises `InputError`."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0.0 <= cost < math.inf:
        raise InputError(f"cost={cost!r}; allowed: a number in [0, inf)")
    return float(cost)


def checked_cost_rule(cost: Cost, quotas: Sequence[Quota]) -> Cost:
    """The option `cost`: a number that the quotas let through, or a function of the item; raises
    `InputError`.
    """
    if callable(cost):
        return cost
    try:
        number = checked_cost(cost)
    except InputError as error:
        raise InputError(f"{error}, or a function of the item") from None
    Quotas(quotas, 0.0, 0.0).opening(number)
    return number


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
    """One pass, or `total` items, repeating the iterable if it ends; nothing if it is empty.

    Only the items of an iterator, which cannot be repeated, are kept in memory.

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


def cycled_async(items: AsyncIterable[T], total: int | None) -> AsyncIterator[T]:
    """As `cycled`, of an asynchronous iterable."""
    return aiter(items) if total is None else _cycled_async(items, total)


async def _cycled_async(items: AsyncIterable[T], total: int) -> AsyncIterator[T]:
    kept: list[T] | None = [] if aiter(items) is items else None
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
        if kept is not None:
            for item in itertools.islice(itertools.cycle(kept), total - given):
                yield item
            return
