"""The commands and snippets of the documents."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from helpers import ROOT

DOCUMENTS = ["README.md", "README.ko.md", "CONTRIBUTING.md", "results/README.md"]
DOCUMENTS += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))


PROGRAMS = ("python", "pip", "pytest", "ruff", "mypy", "tpssim")


T = "python -m tpssim "


def plain(command: str) -> str:
    """A command without quotes and comments, its words a space apart."""
    return " ".join(shlex.split(command, comments=True))


class Found(NamedTuple):
    snippets: list[tuple[str, str]]  #: (where, Python)
    commands: list[tuple[str, str]]  #: (where, command)


def read(name: str, text: str) -> Found:
    """What a reader is asked to run: fences, and indented lines and inline code that begin with a
    program.
    """
    snippets, commands = [], []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M):
        where = f"{name}:{text[: match.start()].count(chr(10)) + 1}"
        if match[1] == "python":
            snippets.append((where, match[2]))
        elif match[1] not in ("toml", "text"):  # text: what a command printed
            assert match[1] == "sh", f"{where}: a fence is python, sh, toml or text"
            commands += [(where, line) for line in match[2].splitlines() if line.strip()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    begins = rf"(?:{'|'.join(PROGRAMS)})(?= |$)"
    commands += [(name, line.strip()) for line in re.findall(rf"^    {begins}.*$", prose, re.M)]
    inline = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose))
    # One word such as `mypy` is a name in prose.
    commands += [(name, code) for code in inline if re.match(begins, code) and " " in code]
    return Found(
        snippets, [(where, plain(part)) for where, line in commands for part in line.split(" && ")]
    )


FOUND = {name: read(name, (ROOT / name).read_text(encoding="utf-8")) for name in DOCUMENTS}


SNIPPETS = {where: code for found in FOUND.values() for where, code in found.snippets}
