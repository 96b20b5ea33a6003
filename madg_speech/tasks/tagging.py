"""POS tags and entities: a softmax over the tags at each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

IGNORED = -100
Labels = dict[str, list[int]]


class TaggingHead(nn.Module):
    """A linear layer and a softmax (Ansell et al. 2021, after Pfeiffer et al. 2020).

    Args:
        hidden_size: width H of the words' states.
        tags: the inventory.
        dropout: on the states, in training.
    """

    def __init__(self, hidden_size: int, tags: Sequence[str], dropout: float = 0.1):
        super().__init__()
        self.tags = tuple(tags)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, len(self.tags))

    def encode(self, tags: Sequence[str]) -> Labels:
        """Labels of one sentence."""
        return {"tags": [self.tags.index(tag) for tag in tags]}

    def loss(self, words: Tensor, mask: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over words.

        Args:
            words: [B, W, H].
            mask: [B, W] bool; here the labels say as much.
            labels: ``tags`` [B, W], -100 beyond a sentence's end.
        """
        logits = self.linear(self.dropout(words))
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), labels["tags"].flatten(), ignore_index=IGNORED
        )

    @torch.no_grad()
    def predict(self, words: Tensor, mask: Tensor) -> list[dict[str, Any]]:
        """The most probable tag of each word: ``tags`` for each sentence."""
        best = self.linear(words).argmax(-1).cpu()
        return [
            {"tags": tuple(self.tags[i] for i in row[inside].tolist())}
            for row, inside in zip(best, mask.cpu(), strict=True)
        ]


def pad_labels(rows: Sequence[Labels]) -> dict[str, Tensor]:
    """Labels of several sentences as [B, W] tensors, padded with -100."""
    return {
        name: nn.utils.rnn.pad_sequence(
            [torch.tensor(row[name]) for row in rows], batch_first=True, padding_value=IGNORED
        )
        for name in rows[0]
    }
