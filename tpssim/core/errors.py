"""What goes wrong by what was given, and what ends a run from outside: one line each."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong and what is
    allowed.

    >>> import tpssim
    >>> try:
    ...     tpssim.simulate("degrade-recover", "aimd:dec_rate=2")
    ... except tpssim.InputError as error:
    ...     print(error)
    aimd: dec_rate=2 is out of range; allowed: (0, 1) x
    """


class Aborted(RuntimeError):
    """Something outside ended a run before its end; the message says what is kept and how to go on.

    >>> issubclass(Aborted, RuntimeError)  # a store that another process holds, workers that died
    True
    """


#: The most names that an error lists.
FEW = 15
CLOSE = 3  # names that may have been meant


def all_of(kind: str) -> str:
    """What shows all names of a kind: "controllers", "scenarios", "metrics" or "studies".

    >>> all_of("controllers")
    'those of `python -m tpssim list controllers`'
    """
    return f"those of `python -m tpssim list {kind}`"


def no_such(
    what: str, name: str, known: Iterable[str], where: str = "", shown: str = ""
) -> InputError:
    """The error for a name that is not known: those that may have been meant, then all there are,
    or, if they are many, what shows them (`shown`), if anything does.

    >>> print(no_such("law", "amid", ["fixed", "aimd"]))
    there is no law 'amid', did you mean 'aimd'? allowed: fixed, aimd
    >>> print(no_such("word", "pit", ["pi", "pie", *"abcdefghijklmn"], shown="those of a book"))
    there is no word 'pit', did you mean 'pi' or 'pie'? allowed: those of a book
    """
    import difflib  # when something is wrong, not before

    names = list(known)
    close = [repr(each) for each in difflib.get_close_matches(name, names, n=CLOSE)]
    meant = " or ".join(filter(None, [", ".join(close[:-1]), *close[-1:]]))
    hint = f", did you mean {meant}?" if meant else ";"
    allowed = shown if shown and len(names) > FEW else ", ".join(names) or "none"
    return InputError(f"{where}there is no {what} {name!r}{hint} allowed: {allowed}")
