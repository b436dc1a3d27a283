"""What a page tells of a recommendation."""

from __future__ import annotations

from collections.abc import Iterator

from tpssim.output.html import drawings
from tpssim.output.html.blocks import Block, Command, Facts, Figure, Paragraph, Section, Sortable
from tpssim.output.html.compared import Progress
from tpssim.output.html.reading import Result
from tpssim.output.recommend_words import expected_table, given_up_in_words, ranking_table
from tpssim.output.records import RecommendRecord
from tpssim.output.spans import Span, Text, strong

PICTURE = (
    "what each candidate serves within the deadline, and how long its slowest calls take: the"
    " median of the runs, and what 95 % of them lie between"
)


def recommend(result: Result[RecommendRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    shown: list[tuple[Text, Text]] = [
        ("the service", summary.service),
        ("for", summary.purpose),
    ]
    runs = summary.judged_on * summary.replications
    if runs:
        shown.append(("judged in", f"{runs} runs of each candidate"))
    blocks: list[Block] = [
        Paragraph([strong(summary.said)]),
        *(Paragraph([Span(reason)]) for reason in summary.reasons),
        Command(summary.code),
        Facts(shown),
    ]
    for figure in summary.figures:
        picture = result.folder / figure["file"]
        if picture.is_file():
            blocks.append(Figure(drawings.embedded(picture, PICTURE), PICTURE, "wide"))
    yield Section("At a glance", blocks)
    progress(1, 1)
    if not summary.expected:  # the model is wrong, as the reasons say
        return
    given_up = [Paragraph([Span(given_up_in_words(each))]) for each in summary.given_up]
    yield Section("What to expect", [Sortable(expected_table(summary.expected)), *given_up])
    yield Section("The candidates", [Sortable(ranking_table(summary.ranking))])
