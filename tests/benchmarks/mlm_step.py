"""What does a step of masked language modelling cost beside the same in plain transformers?

Random weights of multilingual-e5-small's shape, 8 layers, adapters in the upper four, bottleneck 24,
15 % of the pieces hidden, a head over 20,000 pieces. Run: ``python -m tests.benchmarks.mlm_step``.
Goal: at most 1.03 times static adapters written by hand; 16 languages in a batch stand beside.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from madg_speech.backbones.text import TextBackbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.objectives.mlm import mlm_loss
from madg_speech.sources import build_source
from madg_speech.text_model import MaskedTokenHead, TextModel
from tests.benchmarks.measure import Result, compare, main
from tests.benchmarks.models import LANGUAGES

LAYERS, UPPER, WIDTH, BOTTLENECK, PIECES = 8, (4, 5, 6, 7), 384, 24, 20_000


class AdaptedOutput(nn.Module):
    """What one would write by hand: BERT's last block of a layer with two linear maps in it."""

    def __init__(self, output: Any):
        super().__init__()
        self.dense, self.norm = output.dense, output.LayerNorm
        self.down, self.up = nn.Linear(WIDTH, BOTTLENECK), nn.Linear(BOTTLENECK, WIDTH)

    def forward(self, hidden: Tensor, residual: Tensor) -> Tensor:
        below = self.dense(hidden) + residual
        adapted: Tensor = self.norm(below + self.up(torch.relu(self.down(self.norm(below)))))
        return adapted


def encoder() -> BertModel:
    """The plain model, frozen."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=PIECES,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=12,
        intermediate_size=4 * WIDTH,
    )
    return BertModel(config, add_pooling_layer=False).eval().requires_grad_(False)


def adapted(plain: BertModel, kind: str) -> TextModel:
    """Ours around it, all tensors away from zero."""
    tokenizer: Any = SimpleNamespace(max_pieces=512)  # ids are drawn, nothing is spelt
    backbone = TextBackbone(plain, tokenizer, "e5-small shape")
    source = SourceConfig.model_validate({"kind": kind, "layers": UPPER, "bottleneck": BOTTLENECK})
    spec = ModelConfig(
        objective="mlm",
        backbone=BackboneConfig(),
        hidden_size=WIDTH,
        layers=LAYERS,
        source=source,
        languages=LANGUAGES,
    )
    head = MaskedTokenHead(backbone.word_embeddings, torch.arange(PIECES))
    model = TextModel(backbone, build_source(source, WIDTH, LAYERS, LANGUAGES), spec, head)
    for parameter in model.source.parameters():
        nn.init.normal_(parameter, std=0.02)
    return model.train()


def step(model: nn.Module, labels: Tensor, forward: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward, loss, backward, AdamW over all that can be trained."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def once() -> None:
        mlm_loss({"logits": forward()}, labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return once


def measure(quick: bool) -> list[Result]:
    rows, length, rounds = (16, 32, 3) if quick else (64, 32, 11)
    ids = torch.randint(PIECES, (rows, length))
    chosen = torch.rand(rows, length) < 0.15
    labels = torch.where(chosen, ids, -100)
    lengths = torch.full((rows,), length)
    plain = encoder()
    by_hand = copy.deepcopy(plain)
    for number in UPPER:
        by_hand.encoder.layer[number].output = AdaptedOutput(by_hand.encoder.layer[number].output)
    head = MaskedTokenHead(by_hand.embeddings.word_embeddings, torch.arange(PIECES))
    both = nn.ModuleList([by_hand, head])
    theirs = step(both, labels, lambda: head(by_hand(input_ids=ids).last_hidden_state[chosen]))

    def ours(model: TextModel, languages: list[str]) -> Callable[[], None]:
        return step(model, labels, lambda: model(ids, lengths, languages, chosen)["logits"])

    mixed = [LANGUAGES[row % len(LANGUAGES)] for row in range(rows)]
    size = f"{rows} x {length} pieces; "
    static, detail = compare(ours(adapted(plain, "static"), mixed), theirs, rounds)
    generated = adapted(plain, "two-stage")
    many, many_detail = compare(
        ours(generated, mixed), ours(generated, [LANGUAGES[0]] * rows), rounds
    )
    return [
        Result("MLM step: static adapters, ours / plain modules", static, "x", 1.03, size + detail),
        Result("MLM step: 16 languages / one language", many, "x", 1.05, size + many_detail),
    ]


if __name__ == "__main__":
    main(measure)
