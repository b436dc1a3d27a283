"""What a run comes to depends on nothing that ran before it in the same process."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from helpers import random_runs

SCRIPT = Path(random_runs.__file__)
FRESH = 20  # runs that have a process of their own


def digests(mode: str, *numbers: int) -> set[tuple[int, str]]:
    """What a process of its own makes of the runs: each number with every digest that it had."""
    command = [sys.executable, str(SCRIPT), mode, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {(int(number), name) for number, name in map(str.split, done.stdout.splitlines())}


def test_500_pairs_in_one_process_give_the_bytes_of_each_run_alone() -> None:
    """In both orders; and 20 of the runs in processes that are fresh, for a fork is not quite
    alone.
    """
    alone = dict(digests("alone"))
    assert len(alone) == random_runs.FAMILIES * random_runs.MEMBERS
    assert len(random_runs.pairs()) == 500
    paired = {number for pair in random_runs.pairs() for number in pair}
    for mode in ("ordered", "reversed"):
        assert digests(mode) == {(number, alone[number]) for number in paired}
    for number in random.Random(0).sample(sorted(alone), FRESH):
        assert digests("fresh", number) == {(number, alone[number])}


def test_the_runs_differ_in_kind_where_their_numbers_are_equal() -> None:
    """Else the test above could not fail: most of the pairs are equal as plain tuples, or nearly
    so.
    """
    services = [
        [type(run.scenario.service) for run in random_runs.runs()[i : i + 5]]
        for i in range(0, 300, 5)
    ]
    assert sum(len(set(kinds)) > 1 for kinds in services) > 50
