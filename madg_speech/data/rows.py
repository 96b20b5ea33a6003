"""What a corpus says of one utterance, before anything is checked: the language of corpus readers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from madg_speech.errors import DataError

SPLITS = {
    "training": "train",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "eval": "test",
    "evaluation": "test",
} | {name: name for name in ("train", "dev", "test")}


class LayoutError(DataError):
    """A folder that is not laid out as the named corpus is; says what was looked for."""


@dataclass(frozen=True, slots=True, repr=False)
class Embedded:
    """An audio file whose bytes lie in a table (parquet, Arrow); ``suffix`` as in ``.wav``."""

    data: bytes
    suffix: str

    def __repr__(self) -> str:
        digest = hashlib.blake2b(self.data, digest_size=16).hexdigest()
        return f"Embedded({digest}{self.suffix})"


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance in the corpus's own words.

    Attributes:
        id: unique within the split.
        audio: a file, which need not exist, or its bytes.
        text: as transcribed.
        lang: the corpus's own code or name of the language.
        split: official split; empty where the corpus has none.
        speaker: unique within the corpus.
        start: seconds into ``audio``, where the utterance is a part of a recording.
        end: likewise; None: to the end.
        channel: counted from 0; None: the mean of all.
        seconds: the length that the corpus claims, to be held against the file.
        license: where it differs from row to row.
    """

    id: str
    audio: Path | Embedded
    text: str
    lang: str
    split: str = ""
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    seconds: float | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the corpus that no row can be made of: a countable reason, and the place."""

    reason: str
    where: str


Rows: TypeAlias = Iterator[Row | Problem]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a corpus.

    Attributes:
        lang: language of what does not say its own.
        splits: None: the usual ones.
        wants: whether a language, as the corpus writes it, is wanted; spares reading whole folders.
        scratch: where archives inside the corpus may be unpacked.
    """

    lang: str | None = None
    splits: tuple[str, ...] | None = None
    wants: Callable[[str], bool] = lambda code: True
    scratch: Path | None = None

    def chosen(self, usual: tuple[str, ...]) -> tuple[str, ...]:
        """The splits to read, ``usual`` if none were asked for."""
        return usual if self.splits is None else self.splits


def find(path: Path, name: str, depth: int = 4) -> list[Path]:
    """Files or folders called ``name`` (a glob) at most ``depth`` folders below ``path``, sorted."""
    return sorted(hit for level in range(depth + 1) for hit in path.glob("*/" * level + name))
