"""Connectionist temporal classification (Graves et al. 2006), summed so that ranks can share a count."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

IGNORED = -100


def ctc_loss(
    outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Negative log likelihood in nats per character.

    The sum over the batch is divided by ``num_items_in_batch``, the number of characters in the whole
    optimiser step over all ranks and accumulated batches, so that 2 processes equal 1 with the same
    global batch. The Trainer counts and passes it.

    Args:
        outputs: ``logits`` [B, T, V] and ``lengths`` [B] in frames.
        labels: [B, S] symbol numbers, -100 after the end.
        num_items_in_batch: characters in the step; those of ``labels`` when None.
    """
    spoken = labels != IGNORED
    log_probs = outputs["logits"].float().log_softmax(-1).transpose(0, 1)
    total = torch.nn.functional.ctc_loss(
        log_probs,
        labels.masked_fill(~spoken, 0),
        outputs["lengths"],
        spoken.sum(1),
        reduction="sum",
        zero_infinity=True,  # an utterance with more text than frames is reported when data is read
    )
    return total / (spoken.sum() if num_items_in_batch is None else num_items_in_batch)
