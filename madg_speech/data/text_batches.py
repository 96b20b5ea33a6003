"""Rows of a text corpus -> a padded batch with some pieces hidden and a language per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.objectives.ctc import IGNORED
from madg_speech.objectives.mlm import Numbers, mask_pieces


@dataclass(frozen=True)
class MaskedTextCollator:
    """Hides pieces anew each time a row is drawn, the same ones each time it is scored.

    The batch holds ``inputs`` [B, T], ``lengths`` [B], ``languages``, ``chosen`` [B, T] bool (hidden
    pieces) and ``labels`` [B, T], places among ``tokens`` padded with -100. What is hidden depends on
    seed, row and draw alone, so a resumed run sees what an unbroken one would.

    Attributes:
        tokens: [V] piece numbers that can be asked for, ascending.
        mask: the mask piece.
        pad: the padding piece.
        share: of a row's pieces.
        seed: draws.
        views: ways of hiding a row in training, used in turn; None: another one each time.
    """

    tokens: Numbers
    mask: int
    pad: int
    share: float = 0.15
    seed: int = 0
    views: int | None = None

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch of rows; those with a ``draw`` number are training rows."""
        inputs, labels = [], []
        for row in rows:
            shown, answers = self.hide(row)
            places = np.searchsorted(self.tokens, answers)
            inputs.append(torch.from_numpy(shown))
            labels.append(torch.from_numpy(np.where(answers == IGNORED, IGNORED, places)))
        padded: Tensor = pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return {
            "inputs": pad_sequence(inputs, batch_first=True, padding_value=self.pad),
            "lengths": torch.tensor([len(row) for row in inputs]),
            "languages": [row["lang"] for row in rows],
            "chosen": padded != IGNORED,
            "labels": padded,
        }

    def hide(self, row: dict[str, Any]) -> tuple[Numbers, Numbers]:
        """What is shown of a row [T], and the pieces hidden in it [T], -100 elsewhere."""
        draw = 0
        if "draw" in row:
            draw = 1 + (row["draw"] % self.views if self.views else row["draw"])
        random = np.random.default_rng([self.seed, row["number"], draw])
        ids = np.asarray(row["pieces"], np.int64)
        return mask_pieces(ids, self.tokens, self.mask, self.share, random)
