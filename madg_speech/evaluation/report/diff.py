"""Where two texts differ, character by character."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Literal

from rapidfuzz.distance import Levenshtein

Kind = Literal["equal", "delete", "insert"]
_MARKS = {"delete": ("~~", "~~"), "insert": ("**", "**"), "equal": ("", "")}
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~"})


def segments(reference: str, hypothesis: str) -> Iterator[tuple[Kind, str]]:
    """Runs of equal, left out and added characters; a replacement is the one, then the other.

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


def diff_html(reference: str, hypothesis: str) -> str:
    """The difference with ``del`` and ``ins``; a lone space among them is shown as ␣."""
    tags = {"delete": "del", "insert": "ins"}
    return "".join(
        escape(text)
        if kind == "equal"
        else f"<{tags[kind]}>{escape(text.replace(' ', '␣'))}</{tags[kind]}>"
        for kind, text in segments(reference, hypothesis)
    )


def diff_markdown(reference: str, hypothesis: str) -> str:
    """The difference with ~~left out~~ and **added**; spaces among them are shown as ␣."""
    return "".join(
        _MARKS[kind][0]
        + (text if kind == "equal" else text.replace(" ", "␣")).translate(_SPECIAL)
        + _MARKS[kind][1]
        for kind, text in segments(reference, hypothesis)
    )
