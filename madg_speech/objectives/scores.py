"""Dev scores of objectives that predict masked frames: loss, accuracy and code perplexity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.objectives.ctc import IGNORED


@torch.inference_mode()
def masked_scores(
    model: AdaptedEncoder,
    table: Any,
    collator: Callable[[list[dict[str, Any]]], dict[str, Any]],
    rows_per_batch: int = 32,
) -> dict[str, dict[str, float]]:
    """Metric -> language -> value, over all masked frames of a language.

    ``loss``: cross-entropy in nats per masked frame, without any penalty. ``accuracy``: share of
    masked frames told right. ``perplexity``: exp of the entropy of how often each code is used,
    summed over codebooks; of the predicted codes for BEST-RQ, of the targets' for wav2vec 2.0. It
    falls to the number of codebooks where training collapses.

    Args:
        model: of an objective whose outputs have ``logits`` [M, C] and ``codes`` [M, G].
        table: dev rows.
        collator: of the same objective.
        rows_per_batch: rows.
    """
    order = sorted(range(len(table)), key=table["seconds"].__getitem__)
    told: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for start in range(0, len(order), rows_per_batch):
        batch = collator([table[i] for i in order[start : start + rows_per_batch]])
        labels = batch.pop("labels")
        batch = send_to_device(batch, model.device)
        output = model(**batch)
        logits, targets = output["logits"].float().cpu(), labels[labels != IGNORED]
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        right = logits.argmax(-1) == targets
        counts = (labels != IGNORED).sum(1).tolist()
        parts = zip(
            *(torch.split(of, counts) for of in (losses, right, output["codes"].cpu())), strict=True
        )
        for language, part in zip(batch["languages"], parts, strict=True):
            told.setdefault(language, []).append(part)
    scores: dict[str, dict[str, float]] = {"loss": {}, "accuracy": {}, "perplexity": {}}
    for language, found in told.items():
        loss, hits, codes = (torch.cat(part) for part in zip(*found, strict=True))
        scores["loss"][language] = float(loss.mean())
        scores["accuracy"][language] = float(hits.float().mean())
        scores["perplexity"][language] = code_perplexity(codes)
    return scores


def code_perplexity(codes: Tensor) -> float:
    """Sum over codebooks of exp of the entropy of code use.

    Args:
        codes: [M, G] numbers of the codes used, a column a codebook.
    """
    total = 0.0
    for column in codes.T:
        shares = column.bincount().double() / len(column)
        total += float(torch.exp(-torch.xlogy(shares, shares).sum()))
    return total
