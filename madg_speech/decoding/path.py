"""Words and their frames on a CTC path: one symbol a frame, as a decoder chose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from madg_speech.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class PathWord:
    """A word, its first frame and the one after its last, and its letters' mean log probability."""

    text: str
    first: int
    stop: int
    score: float


class Decoder(Protocol):
    """Turns the log probabilities of one utterance into words."""

    script: str

    def decode(self, scores: Tensor) -> list[PathWord]:
        """Words of one utterance; ``scores`` [T, V] are log probabilities, without padding."""


class GreedyDecoder:
    """The best symbol of each frame.

    The best path is the likeliest of ALL paths, so it is also the likeliest among those that spell
    its own text: aligning the text anew (Viterbi, as ``torchaudio.functional.forced_align`` does)
    would return the same frames.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.script = vocabulary.kind

    def decode(self, scores: Tensor) -> list[PathWord]:
        """See :class:`Decoder`."""
        return words_on_path(scores.argmax(-1).tolist(), scores, self.vocabulary)


def words_on_path(path: Sequence[int], scores: Tensor, vocabulary: Vocabulary) -> list[PathWord]:
    """Repeats collapsed, blanks dropped, cut at spaces.

    Args:
        path: [T] symbols.
        scores: [T, V] log probabilities.
        vocabulary: what the symbols stand for.
    """
    (space,) = vocabulary.encode(" ")
    chosen = scores.cpu().numpy()[np.arange(len(path)), list(path)]
    words: list[PathWord] = []
    frames: list[int] = []  # that spell the word so far
    for frame, symbol in enumerate([*path, space]):
        if symbol not in (space, vocabulary.blank):
            frames.append(frame)
        elif symbol == space and frames:
            first, stop = frames[0], frames[-1] + 1
            text = vocabulary.decode(path[first:stop])
            words.append(PathWord(text, first, stop, float(chosen[frames].mean())))
            frames = []
    return words
