"""Keys of code: every edit that can change a number changes the key, or there is none and it is
said.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.plants import interpret

import tpssim
from tpssim import Scenario, sweep
from tpssim.core.fingerprint import fingerprint
from tpssim.core.provenance import Opaque, known
from tpssim.core.states import current
from tpssim.metrics.measure import frame_of
from tpssim.simulation.compiled.compiling import compiles

HELPER = """
import dataclasses
import enum
import other

GAIN = 1.0
SIZES = {"small": 0.5}


def f(x):
    return x * 1.0


def two_deep(x):
    return other.deepest(x)


def late(x):
    return x * 1.0


def named(x):
    return x * 1.0


class Mode(enum.Enum):
    SLOW = 0.5
    FAST = 1.0


class Knob:
    def __init__(self, gain):
        self.gain = gain

    def turn(self, x):
        return x * self.gain * 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
    floor: float = 1.0


class Loud:
    pass


class Meta(type):
    def __call__(cls, *given):
        return super().__call__(*given)


class Made(metaclass=Meta):
    def value(self):
        return 1.0


def __getattr__(name):
    if name == "computed":
        return 1.0
    raise AttributeError(name)
"""

MINE = """
import math
from functools import lru_cache, partial, wraps
from typing import Annotated, NamedTuple

import numpy as np

import helper
from helper import Knob, Made, Mode, Settings
from tpssim.core.validation import Range


class State(NamedTuple):
    rate: float
    limit: float
    reject: float
    extra: float = 0.0


FACTORS = {"up": 1.0}
STEPS = [1.0, 2.0]
TABLE = np.array([1.0, 2.0])
KNOB = Knob(1.0)
SETTINGS = Settings()
MODE = Mode.FAST
WORDS = frozenset({"slow", "fast", "steady"})
shrink = lambda x: x * 1.0


def scaled(by, x):
    return x * by


SCALE = partial(scaled, 1.0)


def decorated(bonus):
    def decorate(function):
        @wraps(function)
        def inner(*given):
            return function(*given) + bonus

        return inner

    return decorate


@decorated(0.0)
def wrapped(x):
    return x


@lru_cache
def remembered(x):
    return x * 1.0


def bounded(x, *, most=1e6):
    return min(x, most)


def raised(x, by=1.0):
    return x * by


class Base(NamedTuple):
    share: Annotated[float, Range(0.0, 1.0)] = 1.0

    def init(self, target):
        return State(self.start(target), math.inf, 0.0)

    def start(self, target):
        return target * 0.5


class Law(Base):
    bias = 0.0

    @property
    def gain(self):
        return 1.0

    @staticmethod
    def trimmed(x):
        return x * 1.0

    @classmethod
    def offset(cls):
        return 0.0

    def up(self, x):
        return x * 1.0

    def down(self, x):
        return x * 0.9

    def update(self, state, obs):
        from helper import late

        def nested(x):
            return x * 1.0

        rate = self.down(obs.target) * FACTORS["up"] * STEPS[0] * TABLE[0] * self.gain + self.bias
        rate = helper.f(self.trimmed(rate)) * helper.GAIN + self.offset()
        rate = nested(late(KNOB.turn(rate))) * MODE.value * helper.computed
        rate = SCALE(wrapped(remembered(raised(bounded(shrink(rate))))))
        rate *= sum(1.0 for _ in range(1))
        rate = getattr(helper, "named")(helper.two_deep(rate)) * Made().value()
        try:
            rate = rate / 1.0
        except ZeroDivisionError:
            rate = 0.0
        if obs.latency < 1e-9 or "none" in WORDS:
            rate = rate * 0.25
        return State(max(min(rate, obs.target), SETTINGS.floor), state.limit, state.reject)


Law.update.weight = 1.0
"""

OTHER = """
def deepest(x):
    return x * 1.0
"""

FILES = {"mine.py": MINE, "helper.py": HELPER, "other.py": OTHER}

#: The edits of which each gave old numbers, by what is edited.
LISTED = {
    "an attribute of the observation": ("mine.py", "obs.latency <", "obs.lag <"),
    "which method is called": ("mine.py", "self.down(obs", "self.up(obs"),
    "which built-in is called": ("mine.py", "max(min(rate", "max(max(rate"),
    "a constant in a dict": ("mine.py", '{"up": 1.0}', '{"up": 0.5}'),
    "a constant in a list": ("mine.py", "[1.0, 2.0]\nTABLE", "[0.5, 2.0]\nTABLE"),
    "a function of another module": (
        "helper.py",
        "def f(x):\n    return x * 1.0",
        "def f(x):\n    return x * 0.5",
    ),
    "an inherited method": ("mine.py", "return target * 0.5", "return target * 0.25"),
    "a property": (
        "mine.py",
        "def gain(self):\n        return 1.0",
        "def gain(self):\n        return 0.5",
    ),
    "a static method": (
        "mine.py",
        "def trimmed(x):\n        return x * 1.0",
        "def trimmed(x):\n        return x * 0.5",
    ),
    "a helper class": ("helper.py", "x * self.gain * 1.0", "x * self.gain * 0.5"),
}
FURTHER = {
    "a class method": (
        "mine.py",
        "def offset(cls):\n        return 0.0",
        "def offset(cls):\n        return -9.0",
    ),
    "a class attribute": ("mine.py", "bias = 0.0", "bias = -9.0"),
    "a field's default": ("mine.py", "Range(0.0, 1.0)] = 1.0", "Range(0.0, 1.0)] = 0.5"),
    "a range": ("mine.py", "Range(0.0, 1.0)]", "Range(0.0, 2.0)]"),
    "a constant of another module": ("helper.py", "GAIN = 1.0", "GAIN = 0.5"),
    "a function two modules away": ("other.py", "x * 1.0", "x * 0.5"),
    "the argument of a decorator": ("mine.py", "@decorated(0.0)", "@decorated(-9.0)"),
    "the body of a decorator": ("mine.py", "function(*given) + bonus", "function(*given) - 9.0"),
    "a cached function": (
        "mine.py",
        "def remembered(x):\n    return x * 1.0",
        "def remembered(x):\n    return x * 0.5",
    ),
    "the argument of a partial": ("mine.py", "partial(scaled, 1.0)", "partial(scaled, 0.5)"),
    "an array": ("mine.py", "np.array([1.0,", "np.array([0.5,"),
    "the type of an array": (
        "mine.py",
        "np.array([1.0, 2.0])",
        "np.array([1.0, 2.0], dtype=np.float32)",
    ),
    "a keyword's default": ("mine.py", "most=1e6", "most=9.0"),
    "a default": ("mine.py", "by=1.0", "by=0.5"),
    "a function in a function": (
        "mine.py",
        "def nested(x):\n            return x * 1.0",
        "def nested(x):\n            return x * 0.5",
    ),
    "a lambda": ("mine.py", "lambda x: x * 1.0", "lambda x: x * 0.5"),
    "what is imported at the call": (
        "helper.py",
        "def late(x):\n    return x * 1.0",
        "def late(x):\n    return x * 0.5",
    ),
    "what is found by its name": (
        "helper.py",
        "def named(x):\n    return x * 1.0",
        "def named(x):\n    return x * 0.5",
    ),
    "a member of an enum": ("mine.py", "Mode.FAST", "Mode.SLOW"),
    "the value of a member": ("helper.py", "FAST = 1.0", "FAST = 0.5"),
    "an attribute of an object": ("mine.py", "KNOB = Knob(1.0)", "KNOB = Knob(0.5)"),
    "a default of a dataclass": ("helper.py", "floor: float = 1.0", "floor: float = 80.0"),
    "a metaclass": (
        "helper.py",
        "super().__call__(*given)",
        "super().__call__(*given) if cls else None",
    ),
    "an attribute that a module computes": (
        "helper.py",
        'if name == "computed":\n        return 1.0',
        'if name == "computed":\n        return 0.5',
    ),
    "an attribute of a function": ("mine.py", "update.weight = 1.0", "update.weight = 0.5"),
    "a member of a set": ("mine.py", '"steady"})', '"none"})'),
    "which exception is caught": ("mine.py", "except ZeroDivisionError", "except ValueError"),
    "a comparison": ("mine.py", "obs.latency < 1e-9", "obs.latency > 1e-9"),
    "the state's default": ("mine.py", "extra: float = 0.0", "extra: float = 1.0"),
    "a number's kind": ("mine.py", "rate / 1.0", "rate // 1.0"),
    "a zero's sign": ("mine.py", "return 0.0\n\n    def up", "return -0.0\n\n    def up"),
    "the bases": ("mine.py", "class Law(Base)", "class Law(helper.Loud, Base)"),
    "a step of a generator": ("mine.py", "sum(1.0 for", "sum(0.5 for"),
}


@pytest.fixture
def law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that imports the files, edited, as if the program began with them."""

    def imported(file: str = "mine.py", old: str = "", new: str = "") -> Any:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in FILES.items():
            edited = text.replace(old, new) if name == file and old else text
            assert edited != text or name != file or not old
            (folder / name).write_text(edited, encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        for name in FILES:
            sys.modules.pop(name.removesuffix(".py"), None)
        importlib.invalidate_caches()
        return importlib.import_module("mine").Law

    yield imported
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("what", [*LISTED, *FURTHER])
def test_every_edit_changes_the_key(law: Any, what: str) -> None:
    before, again, after = (
        fingerprint(law(*edit)()) for edit in ((), (), {**LISTED, **FURTHER}[what])
    )
    assert before == again
    assert after != before


@pytest.mark.filterwarnings("ignore:Law cannot be compiled")
@pytest.mark.parametrize(
    "what",
    [name for name in LISTED if name != "an attribute of the observation"]
    + [
        "a constant of another module",
        "an array",
        "the argument of a decorator",
        "a member of a set",
    ],
)
def test_a_sweep_after_an_edit_gives_the_numbers_of_a_fresh_one(
    law: Any, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what != "which method is called":  # once with numba, which takes seconds to refuse a law
        interpret(monkeypatch)

    def throughput(cls: Any, **store: Any) -> float:
        result = sweep("fast-async:duration=3", cls, {"share": [0.5]}, replications=1, **store)
        return float(result.values("throughput")[0])

    edit = {**LISTED, **FURTHER}[what]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        store = tmp_path.parent / f"{tmp_path.name}.sqlite"
        old = throughput(law(), store=store)
        edited = law(*edit)
        kept, fresh = throughput(edited, store=store), throughput(edited)
    assert kept == fresh
    if what not in (
        "an inherited method",
        "which built-in is called",
    ):  # these change the beginning alone
        assert fresh != old


def test_the_key_is_the_same_wherever_and_whenever_the_code_is_loaded(tmp_path: Path) -> None:
    found = set()
    for number, (seed, head) in enumerate((("0", ""), ("1", ""), ("2", "# moved\n\n\n# down\n"))):
        folder = tmp_path / f"copy {number}"
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(head + text, encoding="utf-8")
        code = (
            "import mine; from tpssim.core.fingerprint import fingerprint;"
            " print(fingerprint(mine.Law(0.5)))"
        )
        paths = [str(folder), str(Path(tpssim.__file__).parent.parent)]
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_an_edit_of_the_package_changes_its_key(tmp_path: Path) -> None:
    """Whichever file it is, wherever the room that makes the key stands."""
    import shutil

    package = tmp_path / "tpssim"
    shutil.copytree(
        Path(tpssim.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    code = "from tpssim.core.provenance import package; print(package())"

    def key() -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    keys = [key()]
    edited = (
        "controllers/aimd.py",
        "simulation/compiled/kernel.py",
        "experiments/sweep/designs.py",
    )
    for name in (*edited, "core/types.py"):
        path = package / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
        keys.append(key())
    os.rename(package / "experiments/executor.py", package / "experiments/helpers.py")
    keys.append(key())
    assert len(set(keys)) == 6


def test_sources_that_change_under_a_running_program_have_no_key(tmp_path: Path) -> None:
    """It runs what it has loaded, and would keep results and compiled code as those of the new
    sources.
    """
    import shutil

    package = tmp_path / "tpssim"
    shutil.copytree(
        Path(tpssim.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    code = """
import pathlib, time, warnings
import tpssim
time.sleep(0.05)
law = pathlib.Path(tpssim.__file__).parent / "controllers" / "aimd.py"
law.write_text(law.read_text().replace("rate * self.dec_rate", "rate * 0.1"))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    grid = {"spin_threshold": [0.0]}
    tpssim.sweep("fast-async:duration=2", "fixed", grid, replications=1, store="kept")
print(*(warning.message for warning in said))
from tpssim.simulation.compiled.compiling import compiles
from tpssim.core.provenance import Opaque
if compiles:
    from tpssim.simulation.compiled.cache import cache_folder
    try:
        cache_folder()
    except Opaque as reason:
        print(reason)
print(pathlib.Path("kept").exists(), pathlib.Path("cache").exists())
"""
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    environment["NUMBA_DISABLE_JIT"] = "1"  # a short run, not worth compiling for
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said, *compiled, kept = done.stdout.splitlines()
    reason = "tpssim/controllers/aimd.py was changed while the program ran"
    assert said == f"nothing is kept in the store: {reason}"
    assert compiled == ([reason] if compiles else [])
    assert kept == "False False"


REFUSED = {
    "opened": ("open('gains.txt').read()", "builtins|_io|io"),
    "an opened archive": ("gzip.open('gains.gz').read()", "gzip.open"),
    "an opened database": ("zipfile.ZipFile('gains.zip').read('gains')", "zipfile.ZipFile"),
    "a text of some encoding": ("codecs.open('gains.txt').read()", "codecs.open"),
    "another file of numpy's": ("np.fromregex('gains.txt', '1', float)", "numpy.fromregex"),
    "a file of an array": ("np.lib.format.open_memmap('gains.npy')", "open_memmap"),
    "a program": ("runpy.run_path('gains.py')['GAIN']", "runpy.run_path"),
    "an address": ("id(obs) % 2", "builtins.id"),
    "a hash": ("hash('gain') % 2", "builtins.hash"),
    "a recording": ("read_service_times('gains.csv')[0]", "read_service_times"),
    "chance that it imports": ("drawn()", "numpy.random"),
    "chance under another name": ("(m := np).random.random()", "numpy"),
    "a day": ("np.datetime64('now').astype(float)", "numpy.datetime64"),
    "clock": ("time.time()", "time"),
    "chance": ("random.random()", "random"),
    "numpy's chance": ("np.random.random()", "numpy.random"),
    "numpy's files": ("np.loadtxt('gains.txt')", "numpy.loadtxt"),
    "environment": ("float(os.environ['GAIN'])", "os"),
    "code as text": ("eval('1.0')", "builtins.eval"),
    "module by text": ("__import__('helper').GAIN", "builtins.__import__"),
    "its module's names": ("globals()['GAIN']", "builtins.globals"),
    "a path": ("float(PATH.read_text())", "pathlib"),
    "a lock": ("LOCK.locked()", "lock"),
    "a generator": ("next(NUMBERS)", "generator"),
    "a generator of chance": ("DRAWS.random()", "numpy.random"),
    "a count that it keeps": ("counted()", "changes COUNT as it runs"),
    "a count in a closure": ("COUNTER()", "changes number as it runs"),
    "an import that fails": ("absent()", "imports no_such_module"),
}


def refused_law(expression: str) -> Any:
    source = f"""
import codecs, gzip, os, pathlib, random, runpy, threading, time, zipfile
from typing import Annotated, NamedTuple
import numpy as np
from tpssim.core.validation import Range
from helpers.laws import Actuators
from tpssim.scenarios.recordings import read_service_times
PATH, LOCK, NUMBERS = pathlib.Path("gains.txt"), threading.Lock(), (float(x) for x in range(9))
DRAWS, GAIN, COUNT, LIMIT = np.random.default_rng(), 1.0, 0.0, 0.0

def counted():
    global COUNT
    COUNT += 1.0
    return COUNT

def counting():
    number = 0.0
    def count():
        nonlocal number
        number += 1.0
        return number
    return count

COUNTER = counting()

def drawn():
    import numpy as np
    return np.random.random()

def powered(x):
    import numpy as np
    import scipy.special
    return np.exp(x) + scipy.special.expit(x)

def absent():
    import no_such_module
    return no_such_module.GAIN

class Law(NamedTuple):
    share: Annotated[float, Range(0.0, 1.0)] = 1.0
    def init(self, target):
        return Actuators(target, 9.0, 0.0)
    def update(self, state, obs):
        return Actuators(state.rate, {expression} if obs.now < LIMIT else 9.0, 0.0)
"""
    names: dict[str, Any] = {"__name__": "refused"}
    exec(compile(source, "refused", "exec", dont_inherit=True), names)
    return names["Law"]


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_cannot_be_known_has_no_key(what: str) -> None:
    expression, why = REFUSED[what]
    with pytest.raises(Opaque, match=why):
        fingerprint(refused_law(expression)())


BELIEVED = {
    "mathematics": "math.exp(-obs.now) + statistics.fmean([1.0, 2.0])",
    "a ufunc": "np.minimum(1.0, obs.now) + np.linalg.norm([1.0])",
    "a module that it imports": "powered(obs.now)",
    "a ufunc of scipy's": "special.gammaincinv(1.0, 0.5)",
    "exact numbers": "float(fractions.Fraction(1, 3) + decimal.Decimal(1))",
    "collections": "collections.Counter('gains')['g']",
    "steps": "sum(itertools.islice(itertools.count(), 3))",
}


@pytest.mark.parametrize("what", list(BELIEVED))
def test_what_depends_on_its_arguments_alone_has_a_key(what: str) -> None:
    law = refused_law(BELIEVED[what])
    names = (
        "collections",
        "decimal",
        "fractions",
        "itertools",
        "math",
        "scipy.special",
        "statistics",
    )
    law.update.__globals__.update(
        {name.rpartition(".")[2]: importlib.import_module(name) for name in names}
    )
    assert fingerprint(law()) == fingerprint(law())


@pytest.mark.filterwarnings("ignore:Law cannot be compiled")
def test_of_what_has_no_key_nothing_is_kept_and_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    law = refused_law("open('gains.txt').read()")
    with pytest.warns(UserWarning, match=r"nothing is kept in the store: Law\.update reaches"):
        result = sweep("fast-async:duration=2", law, {"share": [0.5]}, replications=1, store=path)
    assert result.rows[0].words
    assert not path.exists()


@pytest.mark.filterwarnings("ignore:Law cannot be compiled")
def test_runs_of_code_that_changes_as_it_runs_are_not_kept(tmp_path: Path) -> None:
    from tpssim.experiments.sweep.store import Store

    path = tmp_path / "kept.sqlite"
    law = refused_law("SEEN.append(1.0) or 9.0")
    seen: list[float] = []
    law.update.__globals__["SEEN"] = seen
    law.update.__globals__["LIMIT"] = 99.0
    with pytest.warns(
        UserWarning, match="runs are not kept in the store: values that the code depends"
    ):
        sweep("fast-async:duration=2", law, {"share": [0.5]}, replications=1, store=path)
    assert seen
    with Store(path) as store:
        assert store._file.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_the_key_does_not_depend_on_what_was_done_with_a_class(law: Any) -> None:
    """`pickle`, `copy` and abstract base classes leave notes of theirs in a class."""
    import copy
    import pickle

    cls = law()
    before = fingerprint(cls())
    assert pickle.loads(pickle.dumps(cls(0.5))) == copy.deepcopy(cls(0.5)) == cls(0.5)
    assert not isinstance(cls(), Scenario)
    assert fingerprint(cls()) == before


def test_a_name_alone_proves_nothing() -> None:
    """`functools.wraps` gives a user's function the name of a library's."""
    from functools import wraps

    def wrapped(by: float) -> Any:
        @wraps(np.mean)
        def mean(values: Any) -> Any:
            return by * np.mean(values)

        return mean

    assert known(np.mean)
    assert known(wrapped(1.0)) == ""
    assert fingerprint(wrapped(1.0)) != fingerprint(wrapped(2.0))


def test_a_file_of_the_users_may_have_the_name_of_a_standard_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for number in (1.0, 2.0):
        path = tmp_path / f"{number}" / "statistics.py"
        path.parent.mkdir()
        path.write_text(f"def spread():\n    return {number}\n", encoding="utf-8")
        spec = importlib.util.spec_from_file_location("statistics", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "statistics", module)
        spec.loader.exec_module(module)
        keys.append(fingerprint(module.spread))
    assert keys[0] != keys[1]


def test_values_are_distinguished() -> None:
    """By hand: kinds, signs, order where it counts, and no order where there is none."""

    class One(NamedTuple):
        x: float

    class Two(NamedTuple):
        x: float

    apart: list[Any] = [
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        (1.0,),
        [1.0],
        (1.0, 2.0),
        (2.0, 1.0),
        ((1.0,), 2.0),
        {"a": 1.0, "b": 2.0},
        {"b": 2.0, "a": 1.0},
        {"a"},
        frozenset({"a"}),
        0.0,
        -0.0,
        float("nan"),
        One(1.0),
        Two(1.0),
        ("ab", "c"),
        ("a", "bc"),
        np.arange(3),
        np.arange(3.0),
        np.arange(2000),
        np.append(np.arange(1999), 9),
        range(3),
        10**5000,
        partial(abs, 1),
        np.float64(1.0),
        np.float32(1.0),
        slice(1),
        bytearray(b"1"),
        complex(0.0, -0.0),
        0j,
    ]
    keys = [fingerprint(value) for value in apart]
    assert len(set(keys)) == len(keys)
    assert fingerprint({"a", "b", "c"}) == fingerprint({"c", "b", "a"})
    loop: list[Any] = []
    loop.append(loop)
    assert fingerprint(loop) == fingerprint(loop) != fingerprint([[]])


def test_a_thing_nested_without_end_has_no_key() -> None:
    deep: Any = ()
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Opaque, match="too deep"):
        fingerprint(deep)


NOTEBOOK = """
import math
from typing import Annotated, NamedTuple
import numpy as np
from tpssim.core.validation import Range

GAIN = 1.0
TABLE = np.array([1.0, 2.0])

class State(NamedTuple):
    rate: float
    limit: float
    reject: float

def inner(x):
    return x * GAIN

def outer(x):
    return inner(x) * TABLE[0]

class Law(NamedTuple):
    share: Annotated[float, Range(0.0, 1.0)] = 1.0
    def init(self, target):
        return State(target, math.inf, 0.0)
    def update(self, state, obs):
        return State(outer(obs.target), state.limit, state.reject)

class Slow(NamedTuple):
    scale: Annotated[float, Range(0.0, 9.0, "s")]
    @property
    def mean(self):
        return self.scale * GAIN
    def noise(self):
        return "uniform"
    def times(self, draws):
        return 0.0 * draws + self.scale * GAIN
"""
CELLS = {
    "a constant": "GAIN = 0.8",
    "a helper's helper": "def inner(x):\n    return x * 0.6",
    "an element of an array": "TABLE[0] = 0.7",
    "a method": (
        "Law.update = lambda self, state, obs: State(obs.target * 0.2, state.limit, state.reject)"
    ),
}

COMPILED = ("a constant", "a method")


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = types.ModuleType("notebook_cells")
    monkeypatch.setitem(sys.modules, "notebook_cells", module)
    exec(compile(NOTEBOOK, "cell", "exec", dont_inherit=True), vars(module))
    return vars(module)


def test_a_cell_that_is_run_again_takes_effect_at_once(notebook: dict[str, Any]) -> None:
    def both() -> list[Any]:
        engines = ("compiled", "simpy")
        return [
            tpssim.simulate("fast-async:duration=3", notebook["Law"], engine=e) for e in engines
        ]

    calls = len(both()[1].released)
    for what, cell in CELLS.items():
        before = current(notebook["Law"])
        exec(cell, notebook)
        assert current(notebook["Law"]) != before, what
        if what not in COMPILED:  # each takes seconds
            continue
        fast, slow = both()
        assert fast.meta["engine"] == ("compiled" if compiles else "interpreted"), what
        assert fast.released.tobytes() == slow.released.tobytes(), what
        assert len(slow.released) < 0.9 * calls, what
        calls = len(slow.released)


def test_what_is_kept_of_a_service_ends_with_it(notebook: dict[str, Any]) -> None:
    """Its times, and the measures' view of it, are kept for the next run; its numbers are the same
    here.
    """
    plant = Scenario("mine", notebook["Slow"](0.01), 50.0, 5.0)
    before = tpssim.simulate(plant, "fixed"), frame_of(plant)
    exec("GAIN = 2.0", notebook)
    after = tpssim.simulate(plant, "fixed"), frame_of(plant)
    assert before[0].latency[:10].tolist() == pytest.approx([0.01] * 10)
    assert after[0].latency[:10].tolist() == pytest.approx([0.02] * 10)
    assert after[1].capacity == pytest.approx(before[1].capacity / 2.0)


def test_a_law_that_was_not_taken_is_tried_again_once_it_is_mended(
    notebook: dict[str, Any],
) -> None:
    exec("def inner(x):\n    return math.fsum([x])", notebook)
    if compiles:
        with pytest.warns(UserWarning, match="Law cannot be compiled and runs interpreted"):
            tpssim.simulate("fast-async:duration=1", notebook["Law"], engine="compiled")
    exec("def inner(x):\n    return 0.5 * x", notebook)
    trace = tpssim.simulate("fast-async:duration=1", notebook["Law"], engine="compiled")
    assert trace.meta["engine"] == ("compiled" if compiles else "interpreted")


def test_within_a_process_what_is_opaque_counts_by_identity() -> None:
    law = refused_law("LOCK.locked()")
    first = current(law)
    assert first == current(law)
    law.update.__globals__["LOCK"] = threading.Lock()
    assert current(law) != first
