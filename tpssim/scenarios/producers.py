"""Who calls: sources of calls, each with its own throttle, and what they want."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.own_laws import check_law
from tpssim.core.profiles import Stages
from tpssim.core.types import record
from tpssim.core.validation import Range, checked

#: Which rates may be wanted.
TARGET = Range(0.0, 1e6, "1/s", closed_low=False)


@record
class _Target(NamedTuple):
    """A rate alone, to be checked.

    >>> checked(_Target(5), "mine").target
    5.0
    """

    target: Annotated[float, TARGET]


@record
class Producer(NamedTuple):
    """One of several sources of calls, each with its own throttle: when it comes and when it
    leaves, s.

    It may want a rate of its own, be ruled by a law of its own (a record; None: the law of the
    run), and count for more or less in `fairness`.

    >>> from tpssim import CONTROLLERS, Constant, Scenario
    >>> two = (Producer(), Producer(start=2.0, target=10.0, law=CONTROLLERS["fixed"]()))
    >>> Scenario("shared", Constant(0.02), 40.0, 5.0, producers=two).producers[1].target
    10.0
    """

    start: Annotated[float, Range(0.0, 1e6, "s"), "when the producer comes"] = 0.0
    end: Annotated[float, Range(0.0, math.inf, "s"), "when the producer leaves"] = math.inf
    #: None: that of the scenario
    target: Annotated[
        float | Stages | None, "what it wants, in place of the scenario's target (1/s)"
    ] = None
    weight: Annotated[
        float,
        Range(0.0, 1e6, "x", closed_low=False, closed_high=False),
        "its fair share, in shares of a producer of weight 1",
    ] = 1.0
    #: None: the one that is run
    law: Annotated[Any, "the law that rules it, in place of the one that is run"] = None


def checked_target(target: float | Stages, owner: str) -> float | Stages:
    """The target as a float, or a profile whose peak is in range; raises `InputError`."""
    if isinstance(target, Stages):
        checked(_Target(target.peak), f"{owner}: the peak of {target}")
        return target
    return checked(_Target(target), owner).target


def checked_producer(producer: Producer, owner: str) -> Producer:
    """The producer with its numbers and those of its law checked; raises `InputError`."""
    if not isinstance(producer, Producer):
        raise InputError(f"{owner}: producer {producer!r}; allowed: Producer(start, end)")
    producer, law = checked(producer, owner), producer.law
    if producer.target is not None:
        producer = producer._replace(target=checked_target(producer.target, f"{owner}: a producer"))
    if law is None:
        return producer
    if isinstance(law, type) or not hasattr(law, "init") or not hasattr(law, "update"):
        raise InputError(
            f"{owner}: a producer's law={law!r}; allowed: a record with init and update, such as"
            " CONTROLLERS['aimd']()"
        )
    if not hasattr(law, "_fields"):
        raise InputError(
            f"{owner}: a producer's law={law!r} is no record of numbers; allowed: a NamedTuple with"
            " init and update, such as CONTROLLERS['aimd']()"
        )
    name = f"{owner}: the law of a producer"
    law = checked(law, name)
    check_law(law, name)
    return producer._replace(law=law)
