"""What is compiled, and when: functions of numbers, laws by address, the lean loop for one law.

Compiling the lean loop for a law takes seconds, compiling the law alone a fraction of one. So a law
runs in the general loop, which is compiled once for all, until so much of it has run that its own
loop is compiled beside, in a thread; kept on disk, it is there at once the next time. The bits are
the same.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import re
import threading
import warnings
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from tpssim.core.provenance import PACKAGE, ours
from tpssim.core.states import Seen, current, seen
from tpssim.simulation.compiled import kernel
from tpssim.simulation.compiled.folder import ENDING, kept_in
from tpssim.simulation.compiled.laws import Placed, by_address

compiles = importlib.util.find_spec("numba") is not None
#: Laws of the user's, each in one state, of which compiled code or a refusal is remembered.
MOST = 64
#: Calls of a law in one process after which its own loop is compiled.
ENOUGH = 2_000_000


@functools.cache
def fast(function: Callable[..., Any], counted: bool = True) -> Callable[..., Any]:
    """A function of the package, compiled if numba is there.

    Not `counted`: it makes no array of its own, and none that it is given is counted; so it is
    compiled in half the time, and runs faster.
    """
    if not compiles:
        return function
    from tpssim.simulation.compiled import _jit

    return _jit.kept(function, counted)


def nothing_kept() -> bool:
    """Whether there is no compiled code of these sources on disk, so that it is compiled first."""
    return _enabled() and not kept_names()


def kept_names() -> set[str]:
    """Of which functions there is such code, for some signature: module and name."""
    if not _enabled():
        return set()
    from tpssim.simulation.compiled import _jit

    return _jit.kept_names()


def never_compiled() -> bool:
    """Whether there is no such code of any sources: as `nothing_kept` mostly, without numba."""
    return compiles and not any(kept_in().glob(f"*/*{ENDING}"))


def is_there(compiled: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Whether a function is compiled for arguments of these classes, or on disk."""
    from tpssim.simulation.compiled import _jit

    kinds = compiled, tuple(map(type, arguments))
    if kinds not in _there:
        if kinds not in _signatures:
            _signatures[kinds] = _jit.signature(*arguments)
        if not _jit.is_there(compiled, _signatures[kinds]):
            return False
        _there.add(kinds)
    return True


#: What is known to be there.
_there: set[tuple[Callable[..., Any], tuple[type, ...]]] = set()
#: numba's types of such arguments, which take it milliseconds: each run asks until they are there.
_signatures: dict[tuple[Callable[..., Any], tuple[type, ...]], tuple[Any, ...]] = {}


def placed(law: Any, target: float) -> Placed | None:
    """A law for the general loop, by the addresses of its code; None if numba is not there, or does
    not take it.

    A law is compiled once more when it, or a function or constant that it reaches, has changed. One
    that numba refused is tried again when its code has changed, not when a value has: a run itself
    may change it.
    """
    if not _enabled():
        return None
    from tpssim.simulation.compiled import _jit

    found = _known(type(law))
    if found.refused:
        return None
    record, state = found.as_compiled(law), law.init(target)
    try:
        return by_address(record, state, _jit.code_of(record, state))
    except Exception as error:  # numba raises its own, and TypeError for a record made wrongly
        if ours(type(law)):
            raise  # a law of ours must compile
        found.refuse(error)
        return None


def specialised(law: Any, example: Callable[[], tuple[Any, ...]]) -> Callable[..., int] | None:
    """The lean loop compiled for a law, if it is there; `example` makes arguments of the types that
    it takes.
    """
    if not _enabled():
        return None
    found = _known(type(law))
    return None if found.refused else found.loop(example)


def prepare(law: Any, example: Callable[[], tuple[Any, ...]]) -> None:
    """Compile the lean loop for a law now, for what is to be timed."""
    if _enabled() and specialised(law, example) is None:
        _known(type(law)).compile_loop()


def has_run(law: Any, calls: int) -> None:
    """So many calls of a law have run in the general loop."""
    if _enabled():
        _known(type(law)).calls += calls


def _enabled() -> bool:
    if not compiles:
        return False
    from tpssim.simulation.compiled import _jit

    return _jit.enabled()


#: Before what numba found wrong it says how it came there, each step within the one before.
_STEP = re.compile(r"Failed in \w+ mode pipeline \(step: [^)]*\)\s+")
_FILE = re.compile(r'File "([^"]*)", line (\d+)')


def cause(message: str) -> str:
    r"""What numba found wrong, in one line, with the line of the user's, if it is one.

    >>> cause("Failed in nopython mode pipeline (step: typing)\nUnknown attribute 'x' of type S")
    "Unknown attribute 'x' of type S"
    """
    inner = _STEP.split(message.strip())[-1]
    first, _, rest = inner.partition("\n")
    if first.endswith("found for signature:"):
        called = next((line for line in map(str.strip, rest.splitlines()) if line), "")
        first = f"numba knows no {called.removeprefix('>>> ')}"
    # Not the lengths of records, nor names of its own for values.
    first = re.sub(r"\(float64 x \d+\)| for '[\w.]+', defined at .*", "", first).strip()
    at = _FILE.search(rest)
    if at is None or f"{PACKAGE}/" in at[1].replace("\\", "/"):
        return first
    return f"{first} ({PurePath(at[1]).name}, line {at[2]})"


class _Law:
    """A law in one state of the process: the class that is compiled, and what is there of it."""

    def __init__(self, law: type, state: Seen | None) -> None:
        from tpssim.simulation.compiled import _jit

        self.law, self.state, self.refused, self.calls = law, state, False, 0
        self.own = state is not None  # the user's
        self.record: Any = _jit.as_it_is_now(law) if self.own else law
        self._loop: Any = None
        self._signature: Any = None
        self._ready = self._begun = False

    def as_compiled(self, law: Any) -> Any:
        """The law as a record of the class that is compiled."""
        return self.record(*law) if self.own else law

    def refuse(self, error: Exception) -> None:
        """Say why numba does not take it, and remember that."""
        what = f"{self.law.__name__} cannot be compiled and runs interpreted"
        warnings.warn(f"{what}: {cause(str(error))}", stacklevel=3)
        self.refused = True
        if len(_refused) >= MOST:
            _refused.clear()
        _refused[self.law] = self

    def loop(self, example: Callable[[], tuple[Any, ...]]) -> Callable[..., int] | None:
        """The lean loop for it, if it is there or on disk; compiled beside once that pays."""
        from tpssim.simulation.compiled import _jit

        if self._signature is None:
            self._loop = _jit.loop_of(kernel.run, self.own)
            law, *others = example()
            self._signature = _jit.signature(self.as_compiled(law), *others)
            self._ready = _jit.is_there(self._loop, self._signature)
        if not self._ready and self.calls >= ENOUGH and not self._begun:
            self._begun = _beside(self._compile_beside)
        return self._run if self._ready else None

    def _run(self, law: Any, *others: Any) -> int:
        rows: int = self._loop(self.as_compiled(law), *others)
        return rows

    def _compile_beside(self) -> None:
        from tpssim.simulation.compiled import _jit

        with _jit.filters_left_alone():
            self.compile_loop()

    def compile_loop(self) -> None:
        """Compile the lean loop for it; if numba does not take that, the general one runs."""
        from tpssim.simulation.compiled import _jit

        self._begun = True
        try:
            self._loop.compile(self._signature)
        except _jit.CompileError:
            if not self.own:
                raise
            return
        self._ready = True


def _known(law: type) -> _Law:
    """What is there of a law as it is at this moment."""
    found = _refused.get(law)
    if found is not None and found.state is not None and found.state.same_code():
        return found
    return _made(law, current(law))


@functools.lru_cache(maxsize=MOST)
def _made(law: type, key: str) -> _Law:
    return _Law(law, None if ours(law) else seen(law))


#: Laws that numba did not take, with their code at that time.
_refused: dict[type, _Law] = {}

_thread: threading.Thread | None = None


def _beside(work: Callable[[], None]) -> bool:
    """Begin work in a thread, if there is none at work."""
    global _thread
    if _thread is not None and _thread.is_alive():
        return False
    _thread = threading.Thread(target=work, name="tpssim-compiling", daemon=True)
    _thread.start()
    return True


@atexit.register
def _give_up() -> None:
    """End the thread, for a process must not end in the midst of compiling, nor wait for it."""
    if _thread is not None and _thread.is_alive():
        from tpssim.simulation.compiled import _jit

        _jit.give_up(_thread)
