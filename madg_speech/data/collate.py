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

from madg_speech.audio import load_audio
from madg_speech.backbones.base import FrontEnd
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.objectives.ctc import IGNORED


@dataclass(frozen=True)
class Collator:
    """Pads to the longest row: cached prefix states if there is a cache, else inputs.

    The batch holds ``features`` [B, ..., T] (what the backbone's front end makes) or ``hidden``
    [B, T, H], ``lengths`` [B], ``languages`` (B codes) and ``labels`` [B, S] padded with -100.
    """

    front_end: FrontEnd
    cache: PrefixCache | None = None

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch; AudioError names a file that cannot be decoded."""
        batch: dict[str, Any] = {"languages": [row["lang"] for row in rows]}
        labels = [torch.tensor(row["labels"], dtype=torch.int64) for row in rows]
        batch["labels"] = pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        if self.cache is None:
            waveforms = [load_audio(Path(row["audio"])) for row in rows]
            batch["features"], batch["lengths"] = self.front_end(waveforms)
        else:
            states = [self._cached(row["audio_hash"]) for row in rows]
            batch["hidden"] = pad_sequence(states, batch_first=True)
            batch["lengths"] = torch.tensor([len(state) for state in states])
        return batch

    def _cached(self, audio_hash: str) -> Tensor:
        assert self.cache is not None
        return torch.from_numpy(self.cache[audio_hash].astype(np.float32))
