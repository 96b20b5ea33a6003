"""What does a training step cost beside the same step written otherwise?

Adapters in the upper half, bottleneck 32. Run: ``python -m tests.benchmarks.step``. Goals: 16 languages
in a batch at most 1.05 times one language; static adapters at most 1.03 times those written in plain
transformers modules; with the prefix cached at most 0.6 times. LoRA of equal size stands beside
(``pip install madg-speech[bench]``).
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks.measure import Result, compare, main
from tests.benchmarks.models import (
    LANGUAGES,
    UPPER,
    Batch,
    adapted,
    encoder,
    trained_size,
    training_step,
)


class AdaptedLayer(nn.Module):
    """What one would write by hand: a layer with two linear maps behind it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.down, self.up = nn.Linear(512, 32), nn.Linear(32, 512)

    def forward(self, *given: Any, **named: Any) -> Tensor:
        hidden: Tensor = self.layer(*given, **named)
        return hidden + self.up(torch.relu(self.down(hidden)))


class Plain(nn.Module):
    """An encoder of transformers and a CTC head."""

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.encoder = plain
        self.head = nn.Linear(512, 28)

    def forward(self, features: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return {
            "logits": self.head(self.encoder(features).last_hidden_state),
            "lengths": lengths // 2,
        }


def measure(quick: bool) -> list[Result]:
    rows, seconds, rounds = (16, 2, 5) if quick else (16, 4, 15)
    batch = Batch.random(rows, seconds)
    size = f"{rows} x {seconds} s; "
    base = encoder(seconds)

    def step(model: Any, languages: Sequence[str], **inputs: Tensor) -> Any:
        return training_step(model, batch.labels, lambda: model(languages=languages, **inputs))

    features = {"features": batch.features, "lengths": batch.lengths}
    generated = adapted(base, UPPER, "two-stage").train()
    mixed, mixed_detail = compare(
        step(generated, LANGUAGES[:rows], **features),
        step(generated, LANGUAGES[:1] * rows, **features),
        rounds,
    )
    hidden, lengths = generated.prefix(batch.features, batch.lengths)
    cached, cached_detail = compare(
        step(generated, LANGUAGES[:rows], hidden=hidden, lengths=lengths),
        step(generated, LANGUAGES[:rows], **features),
        rounds,
    )
    static = adapted(base, UPPER, "static").train()
    ours = step(static, LANGUAGES[:rows], **features)
    by_hand = Plain(copy.deepcopy(encoder(seconds)))
    for number in UPPER:
        by_hand.encoder.layers[number] = AdaptedLayer(by_hand.encoder.layers[number])
    hand_step = training_step(by_hand, batch.labels, lambda: by_hand(batch.features, batch.lengths))
    hand, hand_detail = compare(ours, hand_step, rounds)
    results = [
        Result("training step: 16 languages / one language", mixed, "x", 1.05, size + mixed_detail),
        Result(
            "training step: static adapters, ours / written in plain modules",
            hand,
            "x",
            1.03,
            f"{size}{hand_detail}; {trained_size(static)} parameters each",
        ),
        Result("training step: prefix cached / not cached", cached, "x", 0.6, size + cached_detail),
    ]
    if importlib.util.find_spec("peft"):
        lora = Plain(with_lora(encoder(seconds)))
        lora_step = training_step(lora, batch.labels, lambda: lora(batch.features, batch.lengths))
        ratio, detail = compare(ours, lora_step, rounds)
        detail = f"{size}{detail}; {trained_size(static)} and {trained_size(lora)} parameters"
        results.append(
            Result("training step: static adapters / peft LoRA", ratio, "x", None, detail)
        )
    return results


def with_lora(plain: nn.Module) -> nn.Module:
    """LoRA on the query and value maps of the upper half, of the adapters' size."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=16,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        layers_to_transform=list(UPPER),
        layers_pattern="layers",
    )
    return inject_adapter_in_model(config, plain)


if __name__ == "__main__":
    main(measure)
