"""Windows of audio in, words out: by a CTC head, or by Whisper's frozen decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.audio import Waveform
from madg_speech.conditioning import Conditioning
from madg_speech.decoding.path import Decoder, PathWord
from madg_speech.model import AdaptedModel

if TYPE_CHECKING:
    from madg_speech.objectives.seq2seq import Seq2Seq


@dataclass(frozen=True, slots=True)
class Heard:
    """What one window says: its words, log probability, and over how many frames or windows that is."""

    words: list[PathWord]
    total: float
    count: int


class Recognizer(Protocol):
    """What turns windows into words.

    Attributes:
        script: how its words are spelt.
    """

    script: str

    @property
    def model(self) -> AdaptedEncoder:
        """Whose adapters and encoder are used."""

    def recognize(
        self, waveforms: Sequence[Waveform], conditionings: Sequence[Conditioning]
    ) -> list[list[Heard]]:
        """For each conditioning, what each 16 kHz waveform says with its adapter."""


class CtcRecognizer:
    """A CTC head, and ``decoder`` on its log probabilities."""

    def __init__(self, model: AdaptedModel, decoder: Decoder):
        self.model = model
        self.decoder = decoder
        self.script = decoder.script

    @torch.inference_mode()
    def recognize(
        self, waveforms: Sequence[Waveform], conditionings: Sequence[Conditioning]
    ) -> list[list[Heard]]:
        """See :class:`Recognizer`; layers below the adapters run once for all conditionings."""
        hidden, frames = self.model.prefix(*self.model.backbone.features(waveforms))
        return [self._read(hidden, frames, conditioning) for conditioning in conditionings]

    def _read(
        self, hidden: torch.Tensor, frames: torch.Tensor, conditioning: Conditioning
    ) -> list[Heard]:
        rows = [conditioning.row] * len(hidden)
        output = self.model(frames, rows, hidden=hidden, adapter=conditioning.weights)
        scores = output["logits"].float().log_softmax(-1).cpu()
        heard = []
        for row, length in zip(scores, frames.tolist(), strict=True):
            own = row[:length]
            heard.append(Heard(self.decoder.decode(own), float(own.amax(-1).sum()), length))
        return heard


class WhisperRecognizer:
    """Whisper's own decoder on adapted encoder states; the words are in native script."""

    script = "native"

    def __init__(self, model: Seq2Seq):
        self.model = model

    def recognize(
        self, waveforms: Sequence[Waveform], conditionings: Sequence[Conditioning]
    ) -> list[list[Heard]]:
        """See :class:`Recognizer`; the log probability is the mean over a window's tokens."""
        hidden, spoken = self.model.hear(waveforms)
        return [self._read(hidden, spoken, conditioning) for conditioning in conditionings]

    def _read(
        self, hidden: torch.Tensor, spoken: torch.Tensor, conditioning: Conditioning
    ) -> list[Heard]:
        prompts, rows = [conditioning.label] * len(hidden), [conditioning.row] * len(hidden)
        written = self.model.write(hidden, spoken, prompts, rows, conditioning.weights)
        heard = []
        for one, frames in zip(written, spoken.tolist(), strict=True):
            text = self.model.decoder.tokens.decode(one.tokens)
            heard.append(Heard(spread_words(text, frames, one.score), one.score, 1))
        return heard


def spread_words(text: str, frames: int, score: float) -> list[PathWord]:
    """Words of a text over so many frames, each as long as it has letters: a guess at times.

    The decoder does not say where a word was heard.
    """
    words = text.split()
    letters = sum(map(len, words))
    placed, before = [], 0
    for word in words:
        after = before + len(word)
        first, stop = before * frames // letters, max(1, after * frames // letters)
        placed.append(PathWord(word, min(first, stop - 1), stop, score))
        before = after
    return placed
