"""Text of which some words stand out on a page; elsewhere it is its words alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from tpssim.core.types import record


@record
class Span(NamedTuple):
    """Some words of a text, and how they stand out."""

    text: str
    kind: str = ""  #: "", strong, small, verdict, or name (which may be broken at : , _)


Text: TypeAlias = "str | Sequence[Span]"


def spans(text: Text) -> Sequence[Span]:
    """A text in its parts."""
    return [Span(text)] if isinstance(text, str) else text


def plain(text: Text) -> str:
    """The words of a text.

    >>> plain([Span("stuck", "verdict"), Span(" "), Span("4/5", "small")]), plain("as it is")
    ('stuck 4/5', 'as it is')
    """
    return "".join(span.text for span in spans(text))


def strong(text: str) -> Span:
    return Span(text, "strong")
