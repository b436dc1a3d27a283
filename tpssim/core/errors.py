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


def no_such(what: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """The error for a name that is not known: the one that was meant, if one is close, then all
    there are.

    >>> print(no_such("law", "amid", ["fixed", "aimd"]))
    there is no law 'amid', did you mean 'aimd'? allowed: fixed, aimd
    """
    import difflib  # when something is wrong, not before

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ";"
    return InputError(
        f"{where}there is no {what} {name!r}{hint} allowed: {', '.join(names) or 'none'}"
    )
