"""What a recording says: words with times in segments; no model needed to hold, join or write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import regex

from madg_speech.errors import AudioError

# Scripts written without spaces between words. Hangul is not among them.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
_NEEDLESS = regex.compile(rf"(?<={UNSPACED}\p{{M}}*) (?={UNSPACED})")


def join_words(words: Iterable[str]) -> str:
    """Words as a line of text: a space between two unless both are of a script without spaces."""
    return _NEEDLESS.sub("", " ".join(words))


@dataclass(frozen=True, slots=True)
class Word:
    """A word; start and end in seconds from the beginning of the recording.

    Times are those of the first and last frame (20 ms each) that CTC gave to the word's letters: a
    sound may begin earlier and last longer. ``probability`` is the geometric mean over these frames.
    """

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """The text of one window; start and end in seconds from the beginning of the recording."""

    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words on one line."""
        return join_words(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one recording says.

    Attributes:
        source: the file.
        language: ISO 639-3 code, or the label given with a vector or an adapter of one's own.
        adapter: code of the language whose vector made the adapter, ``none``, or a path.
        script: how the text is spelt: ``romanized``, Latin letters whatever the language's script;
            ``native`` where a lexicon was used.
        seconds: length of what was read of the recording.
        segments: one a window, in order; what is not speech has none.
        scores: where the language was chosen among several: each one's, the best being highest.
    """

    source: Path
    language: str
    adapter: str
    script: str
    seconds: float
    segments: tuple[Segment, ...]
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole text on one line."""
        return join_words(segment.text for segment in self.segments if segment.words)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order."""
        return tuple(word for segment in self.segments for word in segment.words)


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording of a batch that could not be transcribed, and why."""

    source: Path
    error: AudioError
