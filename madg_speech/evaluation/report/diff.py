"""Where two texts differ, character by character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Literal

from rapidfuzz.distance import Levenshtein

Kind = Literal["equal", "delete", "insert"]
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~"})


def segments(reference: str, hypothesis: str) -> Iterator[tuple[Kind, str]]:
    """Runs of equal, left-out and added characters; a replacement is the one, then the other.

    Equal and left-out runs joined give the reference, equal and added ones the hypothesis.
    """
    for step in Levenshtein.opcodes(reference, hypothesis):
        old = reference[step.src_start : step.src_end]
        new = hypothesis[step.dest_start : step.dest_end]
        if step.tag == "equal":
            yield "equal", old
            continue
        if old:
            yield "delete", old
        if new:
            yield "insert", new


def diff_html(reference: str, hypothesis: str) -> tuple[str, str]:
    """The reference with ``del`` round what was left out, the hypothesis with ``ins`` round what was added.

    A space inside these is shown as ␣.
    """
    return _both(
        reference, hypothesis, escape, {"delete": "<del>{}</del>", "insert": "<ins>{}</ins>"}
    )


def diff_markdown(reference: str, hypothesis: str) -> tuple[str, str]:
    """The same with ~~left out~~ and **added**."""

    def plain(text: str) -> str:
        return text.translate(_SPECIAL)

    return _both(reference, hypothesis, plain, {"delete": "~~{}~~", "insert": "**{}**"})


def _both(
    reference: str, hypothesis: str, plain: Callable[[str], str], marks: Mapping[str, str]
) -> tuple[str, str]:
    ours, theirs = "", ""
    for kind, text in segments(reference, hypothesis):
        shown = (
            plain(text) if kind == "equal" else marks[kind].format(plain(text.replace(" ", "␣")))
        )
        ours += shown if kind != "insert" else ""
        theirs += shown if kind != "delete" else ""
    return ours, theirs
