"""Templates as HTML: the one importer of Jinja2, which escapes whatever a template is given."""

from __future__ import annotations

import functools
import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tpssim.output.html.blocks import Block
from tpssim.output.html.cells import cell
from tpssim.output.results_dir import file_name
from tpssim.output.spans import spans
from tpssim.output.verdict_words import WORDS


@functools.cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("tpssim.output.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    found.filters["anchor"] = file_name
    found.filters["cell"] = cell
    found.filters["pieces"] = pieces
    found.filters["spans"] = spans
    found.filters["template"] = template_of
    found.globals["known_words"] = WORDS
    return found


def template_of(block: Block) -> str:
    """The template that writes a block.

    >>> from tpssim.output.html.blocks import Paragraph
    >>> template_of(Paragraph("few words"))
    'paragraph.html'
    """
    return f"{type(block).__name__.lower()}.html"


def pieces(name: str) -> list[str]:
    """A long name in the pieces between which it may be broken.

    >>> pieces("spikes:duration=20,target=100")
    ['spikes:', 'duration=20,', 'target=100']
    """
    return re.split(r"(?<=[_:,])(?!$)", name)


def rendered(template: str, **context: Any) -> str:
    """A template of this package, given that context."""
    return _environment().get_template(template).render(context)
