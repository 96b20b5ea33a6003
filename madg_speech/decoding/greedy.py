"""Greedy CTC decoding."""

from __future__ import annotations

from torch import Tensor

from madg_speech.text.vocabulary import Vocabulary


def greedy_decode(scores: Tensor, lengths: Tensor, vocabulary: Vocabulary) -> list[str]:
    """The best symbol of each frame, repeats collapsed, blanks dropped.

    Args:
        scores: [B, T, V] logits or log probabilities.
        lengths: [B] true frames.
        vocabulary: symbols; extra spaces at the ends are stripped.
    """
    best = scores.argmax(-1).cpu()
    return [
        vocabulary.decode(row[:length].tolist()).strip()
        for row, length in zip(best, lengths.tolist(), strict=True)
    ]
