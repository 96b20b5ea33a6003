"""Masked language modelling (Devlin et al. 2019, section 3.1): which pieces, the loss, the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate.utils import send_to_device
from torch import Tensor

from madg_speech.objectives.ctc import IGNORED

Numbers = npt.NDArray[np.int64]


def mask_pieces(
    ids: Numbers, tokens: Numbers, mask: int, share: float, random: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """Hide a share of a sentence's pieces: 80 % by the mask, 10 % by any piece, 10 % left as it is.

    Args:
        ids: [T] pieces, the first and last of which are special and never chosen.
        tokens: [V] the pieces that can be hidden and drawn, ascending.
        mask: the mask piece.
        share: of the inner pieces, at least one, but none that is not among ``tokens``.
        random: draws.

    Returns:
        inputs [T] and answers [T]: the piece that was there, -100 where none is asked for.
    """
    inner = ids[1:-1]
    known = tokens[np.minimum(np.searchsorted(tokens, inner), len(tokens) - 1)] == inner
    places = 1 + np.flatnonzero(known)
    count = min(max(1, round(share * len(inner))), len(places))
    chosen = random.choice(places, size=count, replace=False) if count else places
    inputs, answers = ids.copy(), np.full_like(ids, IGNORED)
    answers[chosen] = ids[chosen]
    way = random.random(count)
    inputs[chosen[way < 0.8]] = mask
    others = chosen[(way >= 0.8) & (way < 0.9)]
    inputs[others] = random.choice(tokens, size=len(others))
    return inputs, answers


def mlm_loss(
    outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross-entropy in nats per hidden piece.

    Args:
        outputs: ``logits`` [N, V] of the N hidden pieces, row by row.
        labels: [B, T] answers, -100 where there is none; N of them are not.
        num_items_in_batch: hidden pieces in the optimiser step, over all ranks; N when None.
    """
    answers = labels[labels != IGNORED]
    total = torch.nn.functional.cross_entropy(outputs["logits"].float(), answers, reduction="sum")
    return total / (len(answers) if num_items_in_batch is None else num_items_in_batch)


@torch.inference_mode()
def mlm_scores(
    model: Any, table: Any, collator: Any, rows_per_batch: int = 64
) -> dict[str, dict[str, float]]:
    """Metric -> language -> value, over a language's hidden pieces.

    ``loss``: nats per hidden piece; ``piece_perplexity``: its exponential, over the head's pieces;
    ``accuracy``: share of hidden pieces told right.

    Args:
        model: gives ``logits``.
        table: dev rows with a ``length``.
        collator: hides the same pieces each time.
        rows_per_batch: rows.
    """
    order = sorted(range(len(table)), key=table["length"].__getitem__)
    told: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for start in range(0, len(order), rows_per_batch):
        batch = collator([table[i] for i in order[start : start + rows_per_batch]])
        labels = batch.pop("labels")
        batch = send_to_device(batch, model.device)
        logits, answers = model(**batch)["logits"].float().cpu(), labels[labels != IGNORED]
        losses = torch.nn.functional.cross_entropy(logits, answers, reduction="none")
        counts = (labels != IGNORED).sum(1).tolist()
        right = logits.argmax(-1) == answers
        parts = zip(*(torch.split(of, counts) for of in (losses, right)), strict=True)
        for language, part in zip(batch["languages"], parts, strict=True):
            told.setdefault(language, []).append(part)
    scores: dict[str, dict[str, float]] = {"loss": {}, "piece_perplexity": {}, "accuracy": {}}
    for language, found in told.items():
        losses, right = (torch.cat(part) for part in zip(*found, strict=True))
        scores["loss"][language] = float(losses.mean())
        scores["piece_perplexity"][language] = float(losses.mean().exp())
        scores["accuracy"][language] = float(right.float().mean())
    return scores
