"""Records as the text of a TOML file, from which they are read back to the bit.

It is written here and not by a library: tomli-w would be needed by every installation, and puts
each number of a recording on a line of its own. The tests read with `tomllib` what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError, all_of
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.schedule import Late, late_policy
from tpssim.core.timer_models import TIMERS, TimerModel
from tpssim.core.validation import FLAG, exact, format_spec, meanings, ranges
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.kinds import KIND_OF, SERVICES
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.producers import Producer
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.service_quotas import ServiceQuota

#: Numbers of a long list on a line.
IN_A_LINE = 5
#: Classes of parts that are of one kind only.
PLAIN = (Backend, Retry, TimerModel, Late, Feedback, Producer, Quota, ServiceQuota)


def toml(record: Any, owner: str) -> str:
    """A record, such as a scenario, as the text of a file; raises `InputError` for what a file
    cannot hold.

    >>> from tpssim.scenarios.disturbances import Step
    >>> print(toml(Producer(start=2.5, target=Stages("10s:50")), "mine"))
    start = 2.5  # when the producer comes (s)
    target = "10s:50"  # what it wants, in place of the scenario's target (1/s)
    <BLANKLINE>
    """
    return "\n".join(_lines(record, (), owner)) + "\n"


def checked_place(path: str | Path) -> Path:
    """Where a scenario's file may be written: never over a picture, say; raises `InputError`."""
    place = Path(path)
    if place.suffix != ".toml":
        raise InputError(f"{str(path)!r} is no name of a scenario's file; allowed: a name in .toml")
    if not place.parent.is_dir():
        raise InputError(
            f"there is no folder {place.parent} for {place.name}; allowed: one that exists"
        )
    return place


def written(text: str, path: str | Path | None) -> str:
    """The text, in a file too if there is a path; raises `InputError`."""
    if path is not None:
        from tpssim.output.results_dir import write_whole

        write_whole(checked_place(path), text)
    return text


def _lines(record: Any, place: tuple[str, ...], owner: str) -> Iterator[str]:
    """The lines of a record whose header, if any, is written: values first, then the tables."""
    if type(record) in KIND_OF:
        yield f'kind = "{KIND_OF[type(record)]}"'
    defaults = record._field_defaults
    tables = []
    for name, value in record._asdict().items():
        if name in defaults and value == defaults[name]:
            continue
        here = (*place, name)
        where = f"{owner}: {'.'.join(here)}"
        text = _law(value, where) if name == "law" else _value(value, where)
        if text is None:
            tables.append((here, value))
        else:
            # A cost is no service time, though the same classes hold both.
            yield f"{name} = {text}{'' if 'cost' in place else _comment(record, name)}"
    for here, value in tables:
        listed = type(value) is tuple
        head = "[[{}]]" if listed else "[{}]"
        for part in value if listed else (value,):
            _check_known(part, f"{owner}: {'.'.join(here)}")
            yield ""
            yield head.format(".".join(here)) + _comment(record, here[-1])
            yield from _lines(part, here, owner)


def _comment(record: Any, field: str) -> str:
    """What a field is, and its unit, as a comment behind its value; "" where neither is known."""
    of: Any = type(record)
    meaning, allowed = meanings(of)[field], ranges(of).get(field)
    # What a flag means for 0 and for 1 is in its meaning.
    unit = "" if allowed is None or allowed.unit == FLAG else allowed.unit
    return f"  # {meaning}{f' ({unit})' if unit else ''}" if meaning else ""


def _value(value: Any, where: str) -> str | None:
    """What stands behind `=`; None for what is a table, or several."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | int):
        return exact(float(value))
    if isinstance(value, str):
        return quoted(value, where)
    if isinstance(value, Stages):
        return f'"{value}"'
    if isinstance(value, Late) and _is_named(value):
        return f'"{value}"'
    if isinstance(value, TimerModel) and value in TIMERS.values():
        return f'"{next(name for name, timer in TIMERS.items() if timer == value)}"'
    if type(value) is tuple and not hasattr(value[0], "_fields"):
        return _numbers(value)
    return None


def _is_named(late: Late) -> bool:
    try:
        return late_policy(str(late)) == late
    except InputError:
        return False


def _law(law: Any, where: str) -> str:
    """A producer's own law as `NAME:key=value,...`."""
    name = next((name for name, cls in CONTROLLERS.items() if cls is type(law)), "")
    if not name:
        raise InputError(
            f"{where}: {type(law).__name__} is a law of your own, which a file cannot hold;"
            f" allowed: {all_of('controllers')}"
        )
    defaults = law._field_defaults
    changed = {key: getattr(law, key) for key in ranges(law) if getattr(law, key) != defaults[key]}
    return quoted(format_spec(name, changed), where)


def _check_known(part: Any, where: str) -> None:
    """Refuse a class of the user's, which another process could not find; raises `InputError`."""
    if type(part) not in KIND_OF and type(part) not in PLAIN:
        raise InputError(
            f"{where}: {type(part).__name__} is a class of your own, which a file cannot hold;"
            f" allowed: {', '.join(SERVICES)}"
        )


def _numbers(numbers: tuple[float, ...]) -> str:
    texts = [exact(float(number)) for number in numbers]
    if len(texts) <= IN_A_LINE:
        return f"[{', '.join(texts)}]"
    rows = (texts[at : at + IN_A_LINE] for at in range(0, len(texts), IN_A_LINE))
    return "\n".join(["[", *(f"  {', '.join(row)}," for row in rows), "]"])


def quoted(text: str, where: str) -> str:
    r"""Text as a string of TOML, which is one of JSON but for the character 127.

    >>> print(quoted('5 "cold" calls', "mine"))
    "5 \"cold\" calls"
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}={text!r}; allowed: text that UTF-8 can hold") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
