"""What stands in the elements of a page."""

from __future__ import annotations

from html.parser import HTMLParser

TOLD = ("td", "th", "dd", "dt", "h1", "h2", "h3", "summary", "figcaption")


class _Gaps(HTMLParser):
    """Elements without a word in them, and what was said last."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.gaps: list[str] = []
        self._open: list[tuple[str, list[str]]] = []
        self._last = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in TOLD:
            self._open.append((tag, []))

    def handle_data(self, data: str) -> None:
        for _, words in self._open:
            words.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            said = "".join(self._open.pop()[1])
            if not said:
                self.gaps.append(f"<{tag}> after {self._last!r}")
            self._last = said or self._last


def gaps(text: str) -> list[str]:
    """Cells, headings and captions of a page that are empty."""
    return _Gaps(text).gaps
