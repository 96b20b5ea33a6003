"""Rows of a corpus -> a padded batch with a language per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.audio import SAMPLE_RATE, load_audio
from madg_speech.backbones.base import FrontEnd
from madg_speech.backbones.mel import PaddedLogMel
from madg_speech.data.augment import Augmenter, Rendition
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.objectives.ctc import IGNORED
from madg_speech.text.vocabulary import ctc_frames_needed


@dataclass(frozen=True)
class Collator:
    """Pads to the longest row: cached prefix states if there is a cache, else inputs.

    The batch holds ``features`` [B, ..., T] (what the backbone's front end makes) or ``hidden``
    [B, T, H], ``lengths`` [B], ``languages`` (B codes) and ``labels`` [B, S] padded with -100. Rows
    with a ``draw`` number are training rows: they are augmented, or taken from the cached views in
    turn (the plain one first).
    """

    front_end: FrontEnd
    cache: PrefixCache | None = None
    augmenter: Augmenter | None = None
    views: tuple[PrefixCache, ...] = ()

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch; AudioError names a file that cannot be decoded."""
        batch: dict[str, Any] = {"languages": [row["lang"] for row in rows]}
        labels = [torch.tensor(row["labels"], dtype=torch.int64) for row in rows]
        batch["labels"] = pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        if self.cache is None:
            batch["features"], batch["lengths"] = self._features(rows)
        else:
            batch |= pad_states([self._cached(row) for row in rows])
        return batch

    def _features(self, rows: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        waveforms = [load_audio(Path(row["audio"])) for row in rows]
        if self.augmenter is None or "draw" not in rows[0]:
            return self.front_end(waveforms)
        renditions = [
            Rendition(row["audio_hash"], row["draw"], ctc_frames_needed(row["labels"]))
            for row in rows
        ]
        return self.augmenter.features(waveforms, renditions, self.front_end)

    def _cached(self, row: dict[str, Any]) -> np.ndarray:
        caches = (self.cache, *self.views)
        cache = caches[row.get("draw", 0) % len(caches)]
        assert cache is not None
        states: np.ndarray = cache[row["audio_hash"]]
        return states


@dataclass(frozen=True)
class TeacherCollator(Collator):
    """Batches of :class:`madg_speech.objectives.seq2seq.Seq2Seq`: also ``spoken`` and ``tokens``.

    ``spoken`` [B] encoder frames hold audio, the rest of a full window is silence; ``tokens`` [B, S - 1]
    are what the decoder is shown of ``labels``.
    """

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch; AudioError names a file that cannot be decoded."""
        assert isinstance(self.front_end, PaddedLogMel)
        batch = super().__call__(rows)
        shown = batch["labels"][:, :-1]
        batch["tokens"] = shown.masked_fill(shown == IGNORED, 0)
        samples = [round(row["seconds"] * SAMPLE_RATE) for row in rows]
        batch["spoken"] = torch.tensor([self.front_end.spoken(count) for count in samples])
        return batch


def pad_states(states: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """Cached states [T, H] of each row as ``hidden`` [B, T, H] in float32, and ``lengths`` [B]."""
    rows = [torch.from_numpy(state.astype(np.float32)) for state in states]
    return {
        "hidden": pad_sequence(rows, batch_first=True),
        "lengths": torch.tensor([len(state) for state in states]),
    }
