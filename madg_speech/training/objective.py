"""What a run minimises, and how its dev utterances are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import send_to_device

from madg_speech.decoding.greedy import greedy_decode
from madg_speech.metrics.error_rate import cer, per
from madg_speech.model import AdaptedModel
from madg_speech.objectives.ctc import IGNORED, ctc_loss

DevScores = dict[str, dict[str, float]]
"""Metric -> language -> value."""


def audio_seconds(inputs: dict[str, Any], collator: Any) -> torch.Tensor:
    """Seconds of audio in a batch of ``collator``; neither padding nor silence up to a full window."""
    front_end = collator.front_end
    if "spoken" in inputs:
        spoken: torch.Tensor = inputs["spoken"].sum() / front_end.frame_rate
        return spoken
    rate = front_end.frame_rate if "hidden" in inputs else front_end.rate
    seconds: torch.Tensor = inputs["lengths"].sum() / rate
    return seconds


@dataclass(frozen=True)
class Objective:
    """What the trainer minimises and how dev utterances are scored.

    Attributes:
        loss: the model's outputs, labels [B, ...] padded with -100, and the number of labels in the
            whole optimiser step over all ranks (None: that of these labels) -> loss.
        scores: model, dev table and collator -> metric -> language -> value.
        metric: the one to choose checkpoints by, the lower the better.
        amount: a batch and its collator -> how much training data it holds.
        pace: what the log calls that amount, by time.
    """

    loss: Callable[[Any, torch.Tensor, Any], torch.Tensor]
    scores: Callable[[Any, Any, Any], DevScores]
    metric: str
    amount: Callable[[dict[str, Any], Any], torch.Tensor] = audio_seconds
    pace: str = "audio_hours_per_hour"


def macro_means(scores: DevScores, groups: dict[str, str]) -> dict[str, float]:
    """``metric`` and ``metric_group`` -> mean over all scored languages, and over those of a group."""
    means = {}
    for metric, rates in scores.items():
        means[metric] = sum(rates.values()) / len(rates)
        for group in sorted(set(groups.values())):
            members = [rate for name, rate in rates.items() if groups.get(name) == group]
            if members:
                means[f"{metric}_{group}"] = sum(members) / len(members)
    return means


@torch.inference_mode()
def dev_error_rates(
    model: AdaptedModel, table: Any, collator: Any, rows_per_batch: int = 32
) -> dict[str, float]:
    """Error rate of each language in ``table`` by greedy decoding, references being the labels.

    CER; of a vocabulary of phones PER.
    """
    order = sorted(range(len(table)), key=table["seconds"].__getitem__)
    said: dict[str, tuple[list[str], list[str]]] = {}
    for start in range(0, len(order), rows_per_batch):
        batch = collator([table[i] for i in order[start : start + rows_per_batch]])
        labels = batch.pop("labels")
        batch = send_to_device(batch, model.device)
        output = model(**batch)
        decoded = greedy_decode(output["logits"], output["lengths"], model.vocabulary)
        for language, ids, text in zip(batch["languages"], labels, decoded, strict=True):
            references, hypotheses = said.setdefault(language, ([], []))
            references.append(spell(model, ids))
            hypotheses.append(text)
    rate = per if model.vocabulary.kind == "phones" else cer
    return {language: rate(*pair).rate for language, pair in said.items()}


CTC = Objective(
    ctc_loss, lambda model, table, collator: {"cer": dev_error_rates(model, table, collator)}, "cer"
)
PHONE_CTC = Objective(
    ctc_loss, lambda model, table, collator: {"per": dev_error_rates(model, table, collator)}, "per"
)


def spell(model: AdaptedModel, ids: torch.Tensor) -> str:
    """Labels [S] back to text; nothing is collapsed."""
    return "".join(model.vocabulary.symbols[i] for i in ids[ids != IGNORED].tolist())
