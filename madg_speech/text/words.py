"""Running text into words, for tasks whose training data came in words."""

from __future__ import annotations

import regex

# Letters with their marks, digits; apostrophes and hyphens inside a word; 3.5 and 10:30; else one sign.
_WORD = regex.compile(
    r"\d+(?:[.,:]\d+)+|[\p{L}\p{M}\p{N}_]+(?:['’ʼ\-·‧\u200c\u200d][\p{L}\p{M}\p{N}_]+)*|\S"
)


def split_words(text: str) -> tuple[str, ...]:
    """Words and signs of a sentence, in order.

    Treebanks differ in what they call a word (``don't``, ``l'eau``): one rule for all is an
    approximation. Scripts without spaces are not segmented; write spaces between their words.
    """
    return tuple(_WORD.findall(text))
