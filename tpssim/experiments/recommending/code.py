"""The code that runs what is recommended: a few lines of Python to paste."""

from __future__ import annotations

from tpssim.controllers import actuators_of
from tpssim.experiments.recommending.candidates import Candidate
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.load import profiles
from tpssim.scenarios.plant import Async, Blocking, Pool
from tpssim.scenarios.scenario import Scenario


def code(candidate: Candidate, scenario: Scenario) -> str:
    """Python that makes calls as the scenario does, with the law and the rate of a candidate.

    `call` (or `hand_over`), `items` and, where calls have costs, `cost_of` (of an item) are the
    reader's. Where recorded arrivals are refused in the model, for a throttle refuses none, `items`
    are pairs of when an item came and the item, and those that have waited too long are left out.

    >>> from tpssim import SCENARIOS
    >>> from tpssim.experiments.recommending.candidates import law
    >>> print(code(law("headroom"), SCENARIOS["blocking-steady"]))
    from tpssim import throttle
    <BLANKLINE>
    law = "headroom"
    for item in throttle(items, tps=100, controller=law):
        call(item)
    """
    law = None if candidate.law is None else _law(candidate.label)
    given = f"tps={_rate(candidate, scenario)}"
    given += ", cost=cost_of" if scenario.cost is not None else ""
    given += f", quotas=[{_quotas(scenario)}]" if scenario.quotas else ""
    given += "" if law is None else ", controller=law"
    refuses = refuses_arrivals(candidate, scenario)
    items = "fresh(items)" if refuses else "items"
    names = "Quota, " if scenario.quotas else ""
    names += "Stages, " if profiles(scenario) else ""
    match scenario.consumer:
        case Blocking():
            head, lines = "throttle", [f"for item in throttle({items}, {given}):", "    call(item)"]
        case Pool(workers=workers):
            head = "run"
            lines = [
                f"done = run(call, {items}, {given}, workers={workers:g})",
                "print(done.report)",
            ]
        case Async(feedback="completion"):
            head = "arun"
            lines = [f"done = asyncio.run(arun(call, {items}, {given}))", "print(done.report)"]
        case _:
            head = "athrottle"
            lines = ["async def main():", f"    async for item in athrottle({items}, {given}):"]
            lines += ["        hand_over(item)", "", "asyncio.run(main())"]
    first = [] if law is None else [f"law = {law}"]
    imports = [f"from tpssim import {names}{head}", ""]
    alone = head in ("arun", "athrottle")  # a file that runs: no `await` stands outside `def`
    standard = [*["import asyncio"] * alone, *["import time"] * refuses]
    imports = [*standard, "", *imports] if standard else imports
    source = _fresh(scenario, alone) if refuses else []
    return "\n".join([*imports, *source, *first, *lines])


def refuses_arrivals(candidate: Candidate, scenario: Scenario) -> bool:
    """Whether calls that come by themselves are refused in the model."""
    refuses = candidate.law is not None and "reject" in actuators_of(candidate.law)
    return refuses and scenario.arrivals is not None


def _fresh(scenario: Scenario, in_a_loop: bool) -> list[str]:
    """Python that leaves out what has waited for half of the deadline."""
    begins = "async " if in_a_loop else ""
    return [
        f"{begins}def fresh(items):  # of (time.monotonic() when it came, item), oldest first",
        f"    {begins}for came, item in items:",
        f"        if time.monotonic() - came <= {0.5 * deadline_of(scenario):.3g}:",
        "            yield item",
        "",
        "",
    ]


def _law(label: str) -> str:
    """A law with its parameters as Python, in lines that one can read.

    >>> print(_law("aimd:dec_rate=0.8,inc_step=2"))
    (
        "aimd:dec_rate=0.8,"
        "inc_step=2"
    )
    """
    name, colon, rest = label.partition(":")
    if not colon:
        return f'"{name}"'
    first, *others = rest.split(",")
    parts = [f"{name}:{first}", *others]
    lines = [f'"{part},"' for part in parts[:-1]] + [f'"{parts[-1]}"']
    return "\n    ".join(["(", *lines]) + "\n)"


def _quotas(scenario: Scenario) -> str:
    """What the pacer knows of quotas, as Python."""
    return ", ".join(
        f'Quota({quota.amount:g}, {quota.per:g}, of="{quota.of}", window="{quota.window}")'
        for quota in scenario.quotas
    )


def _rate(candidate: Candidate, scenario: Scenario) -> str:
    """The wanted rate as Python; of recorded arrivals none, for calls come when they come."""
    if candidate.tps is not None:
        return f"{candidate.tps:g}"
    if scenario.arrivals is not None:
        return 'float("inf")'
    if profiles(scenario):
        return f'Stages("{scenario.target}")'
    return f"{scenario.target:.6g}"
