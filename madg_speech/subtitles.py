"""Words into subtitle cues that can be read: two lines of 42 characters, 7 seconds at most.

These are the limits that broadcasters and streaming services commonly set for Latin script.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from madg_speech.transcript import Word, join_words

LINE = 42  # characters
LINES = 2
SECONDS = 7.0
PAUSE = 1.0  # s between words, after which a new cue begins
_SHORTEST = 0.5  # s that a cue stays, where the next one leaves it the time


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from ``start`` to ``end`` (seconds)."""

    start: float
    end: float
    lines: tuple[str, ...]


def cut_cues(words: Iterable[Word]) -> Iterator[Cue]:
    """Group words, in order of time, into cues that do not overlap."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and _fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    for group, following in zip_longest(groups, groups[1:]):
        end = max(group[-1].end, group[0].start + _SHORTEST)
        latest = following[0].start if following else end
        yield Cue(group[0].start, max(min(end, latest), group[0].start), _lines(group))


def _fits(group: list[Word], word: Word) -> bool:
    if word.start - group[-1].end > PAUSE or word.end - group[0].start > SECONDS:
        return False
    return len(_lines([*group, word])) <= LINES


def _lines(group: list[Word]) -> tuple[str, ...]:
    return tuple(textwrap.wrap(join_words(word.text for word in group), LINE))
