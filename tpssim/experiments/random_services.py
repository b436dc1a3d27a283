"""Services and loads at random: families over the whole plant, some for tuning, others for judging.

A law that is tuned on a family knows its kind. So the families are split by kind: what is tuned on
those of `TUNING` is judged on those of `JUDGING`, whatever the seed.
"""

from __future__ import annotations

from collections.abc import Iterable

from tpssim.core.errors import InputError, no_such
from tpssim.core.validation import checked_count
from tpssim.experiments._drawing import Draw
from tpssim.experiments.families import FAMILIES, JUDGING, TUNING
from tpssim.scenarios.scenario import Scenario, checked_scenario

#: Where families are named, for errors.
SHOWN = "tuning, judging, all, and the families in docs/services.md"
#: The words that stand for several.
GROUPS: dict[str, tuple[str, ...]] = {
    "tuning": tuple(TUNING),
    "judging": tuple(JUDGING),
    "all": tuple(FAMILIES),
}


def random_scenarios(
    n: int, seed: int = 0, kinds: str | Iterable[str] = "judging"
) -> list[Scenario]:
    """`n` scenarios, of each family in turn; more of them begin with the same ones.

    `kinds`: "tuning", "judging", "all", or names of families. `overload-3` is number 3 of the
    family `overload`: a function of the seed, the family and the number alone. Raises `InputError`.

    >>> [scenario.name for scenario in random_scenarios(3, seed=7, kinds=["overload", "far"])]
    ['overload-0', 'far-0', 'overload-1']
    """
    checked_count("n", n, 1)
    families = families_of(kinds)
    each = len(families)
    return [random_scenario(families[i % each], i // each, seed) for i in range(n)]


def families_of(kinds: str | Iterable[str]) -> list[str]:
    """The families of a word or of several; raises `InputError`.

    >>> families_of("tuning")[0], families_of(["far", "knee"])
    ('overload', ['far', 'knee'])
    """
    words = [kinds] if isinstance(kinds, str) else list(kinds)
    if not words:
        raise InputError(f"no kinds; allowed: {', '.join(GROUPS)}, or names of families")
    for word in words:
        if word not in GROUPS and word not in FAMILIES:
            raise no_such("family of services", word, [*GROUPS, *FAMILIES], shown=SHOWN)
    found = [name for word in words for name in GROUPS.get(word, (word,))]
    return list(dict.fromkeys(found))


def random_scenario(family: str, number: int, seed: int = 0) -> Scenario:
    """One of a family; raises `InputError`.

    >>> random_scenario("quota-silent", 2).backend.silent
    1.0
    """
    checked_count("number", number, 0)
    checked_count("seed", seed, 0)
    if family not in FAMILIES:
        raise no_such("family of services", family, FAMILIES)
    drawn = FAMILIES[family].drawn(Draw(seed, family, number))
    summary = f"{FAMILIES[family].about} (drawn with seed {seed})"
    return checked_scenario(drawn._replace(name=f"{family}-{number}", summary=summary))


def family_of(name: str) -> str:
    """The family of a scenario by its name; "" if it is none of these.

    >>> family_of("few-servers-12"), family_of("healthy")
    ('few-servers', '')
    """
    family, _, number = name.rpartition("-")
    return family if family in FAMILIES and number.isdecimal() else ""
