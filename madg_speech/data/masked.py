"""Rows of audio -> a padded batch with masked frames, and what is to be found there.

A row's mask follows from the seed, the utterance and how often it was drawn before: dev utterances
are masked alike each time, and neither the batch nor a resumed run changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from madg_speech.audio import Waveform, load_audio
from madg_speech.backbones.base import FrontEnd
from madg_speech.data.collate import pad_states
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.objectives.ctc import IGNORED
from madg_speech.objectives.masked_prediction import NOISE, RandomQuantizer
from madg_speech.objectives.masking import Mask, draw_mask, draw_negatives, pad_rows


@dataclass(frozen=True)
class Masks:
    """How frames are masked: :func:`madg_speech.objectives.masking.draw_mask`."""

    share: float
    span: int
    seed: int

    def random(self, row: dict[str, Any]) -> np.random.Generator:
        """What a row's mask is drawn from."""
        return np.random.default_rng([self.seed, row.get("draw", 0), int(row["audio_hash"], 16)])

    def draw(self, frames: int, random: np.random.Generator) -> Mask:
        """[frames] bool."""
        return draw_mask(frames, self.share, self.span, random)


@dataclass(frozen=True)
class PredictionCollator:
    """Batches of :class:`madg_speech.objectives.masked_prediction.MaskedPrediction`.

    ``features`` (log-mel, its masked frames overwritten with noise; or waveforms as they are) or
    ``hidden`` (cached), ``lengths``, ``languages``, ``mask`` [B, T], and ``labels`` [B, T]: codes in
    masked frames, -100 elsewhere.
    """

    front_end: FrontEnd
    quantizer: RandomQuantizer
    masks: Masks
    cache: PrefixCache | None = None

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch; AudioError names a file that cannot be decoded."""
        waveforms = [load_audio(Path(row["audio"])) for row in rows]
        codes = [code.numpy() for code in self.quantizer(waveforms)]
        randoms = [self.masks.random(row) for row in rows]
        drawn = [self.masks.draw(len(c), r) for c, r in zip(codes, randoms, strict=True)]
        batch: dict[str, Any] = {"languages": [row["lang"] for row in rows]}
        if self.cache is None:
            batch |= self._features(waveforms, drawn, randoms)
        else:
            batch |= pad_states([self.cache[row["audio_hash"]] for row in rows])
        batch["mask"] = pad_rows(drawn)
        labels = [np.where(m, c, IGNORED) for m, c in zip(drawn, codes, strict=True)]
        return batch | {"labels": pad_rows(labels, IGNORED)}

    def _features(
        self,
        waveforms: Sequence[Waveform],
        drawn: Sequence[Mask],
        randoms: Sequence[np.random.Generator],
    ) -> dict[str, Any]:
        features, lengths = self.front_end(waveforms)
        if self.front_end.spectral:
            steps = round(self.front_end.rate / self.front_end.frame_rate)
            for row, mask, random in zip(features, drawn, randoms, strict=True):
                (places,) = np.repeat(mask, steps).nonzero()
                noise = random.normal(0, NOISE, (len(row), len(places)))
                row[:, places] = torch.from_numpy(noise).to(row.dtype)
        return {"features": features, "lengths": lengths}


@dataclass(frozen=True)
class ContrastiveCollator:
    """Batches of :class:`madg_speech.objectives.contrastive.Contrastive`.

    ``features``, ``lengths``, ``languages``, ``mask`` [B, T], ``negatives`` [B, T, K], and ``labels``
    [B, T]: 0 in masked frames, -100 elsewhere.
    """

    front_end: FrontEnd
    masks: Masks
    negatives: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch; AudioError names a file that cannot be decoded."""
        waveforms = [load_audio(Path(row["audio"])) for row in rows]
        features, lengths = self.front_end(waveforms)
        drawn, negatives = [], []
        for row, waveform in zip(rows, waveforms, strict=True):
            random = self.masks.random(row)
            mask = self.masks.draw(self.front_end.frames(len(waveform)), random)
            drawn.append(mask)
            negatives.append(draw_negatives(mask, self.negatives, random))
        return {
            "languages": [row["lang"] for row in rows],
            "features": features,
            "lengths": lengths,
            "mask": pad_rows(drawn),
            "negatives": pad_rows(negatives),
            "labels": pad_rows([np.where(mask, 0, IGNORED) for mask in drawn], IGNORED),
        }
