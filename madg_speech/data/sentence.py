"""An annotated sentence, whatever file it was read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from madg_speech.data.rows import Problem
from madg_speech.metrics.parsing import Tree


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with what is known about them.

    Attributes:
        place: ``file:line`` of the first word.
        words: the W syntactic words.
        tags: UPOS or IOB2 tags [W]; None where there are none.
        tree: heads and relations; None where there are none.
    """

    place: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    tree: Tree | None = None


Sentences: TypeAlias = Iterator[Sentence | Problem]
