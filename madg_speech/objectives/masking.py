"""Which frames an objective hides, and what a masked frame is told apart from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Mask = npt.NDArray[np.bool_]


def draw_mask(length: int, share: float, span: int, random: np.random.Generator) -> Mask:
    """Spans of masked frames, at least one frame and, from two frames on, never all of them.

    As wav2vec 2.0 does (Baevski et al. 2020, arXiv 2006.11477, section 3.1) starts are drawn without
    replacement and spans may overlap, so a little less than ``share`` is masked. In an utterance
    shorter than two spans, a span takes half of it.

    Args:
        length: frames of the utterance; no padding, hence none is ever masked.
        share: of the frames, counted with overlaps.
        span: frames in a span.
        random: what to draw from.
    """
    width = max(1, min(span, length // 2))
    places = length - width + 1
    number = min(max(1, int(share * length / width + random.random())), places)
    mask = np.zeros(length, np.bool_)
    for start in random.choice(places, number, replace=False):
        mask[start : start + width] = True
    if mask.all() and length > 1:
        mask[random.integers(length)] = False
    return mask


def draw_negatives(mask: Mask, number: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each masked frame, others of the masked frames of the same utterance, with replacement.

    The only masked frame of an utterance gets itself: a negative equal to the positive does not count.

    Args:
        mask: [T] bool.
        number: K, negatives a frame.
        random: what to draw from.

    Returns:
        [T, K] frame numbers; 0 in rows of frames that are not masked.
    """
    negatives = np.zeros((len(mask), number), np.int64)
    (masked,) = mask.nonzero()
    drawn = random.integers(max(1, len(masked) - 1), size=(len(masked), number))
    if len(masked) > 1:
        drawn += drawn >= np.arange(len(masked))[:, None]  # step over the frame itself
    negatives[masked] = masked[drawn]
    return negatives


def pad_rows(rows: Sequence[npt.NDArray[np.generic]], value: int = 0) -> Tensor:
    """Arrays [T, ...] of different lengths as one tensor [B, T, ...]."""
    return torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row) for row in rows], batch_first=True, padding_value=value
    )
