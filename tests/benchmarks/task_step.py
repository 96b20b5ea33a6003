"""What does a step of a task cost where the layers below the adapters are cached?

multilingual-e5-small itself, 8 layers, language and task adapters in the upper four (widths 24 and 32),
POS tags, 16 sentences of one language a step: recipe ``ud_pos``. Words are drawn from the tokenizer's
pieces, sentences as long as those of Universal Dependencies. Run: ``python -m
tests.benchmarks.task_step``. A step is all that a run does: pieces, states, loss, backward, AdamW.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from torch import nn

from madg_speech.backbones import load_text_backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.data.text_prefix import know_sentences
from madg_speech.sources import build_source
from madg_speech.tasks.labels import UPOS
from madg_speech.tasks.model import TaskConfig, TaskModel
from madg_speech.tasks.tagging import pad_labels
from madg_speech.text_model import TextModel
from tests.benchmarks.measure import Result, compare, main
from tests.benchmarks.models import LANGUAGES

NAME, LAYERS, UPPER, ROWS = "intfloat/multilingual-e5-small", 8, (4, 5, 6, 7), 16

Sentences = list[list[str]]


def tagger() -> TaskModel:
    """Generated language adapters and a task adapter, all tensors away from zero."""
    backbone = load_text_backbone(NAME, layers=LAYERS)
    source = SourceConfig.model_validate({"kind": "two-stage", "layers": UPPER, "bottleneck": 24})
    spec = ModelConfig(
        objective="mlm",
        backbone=BackboneConfig(name=NAME, layers=LAYERS),
        hidden_size=backbone.hidden_size,
        layers=LAYERS,
        source=source,
        languages=LANGUAGES,
    )
    built = build_source(source, backbone.hidden_size, LAYERS, LANGUAGES)
    task = TaskConfig(task="pos", labels=UPOS, bottleneck=32, layers=UPPER)
    torch.manual_seed(0)
    model = TaskModel(TextModel(backbone, built, spec), task)
    for parameter in (*built.parameters(), *model.adapter.parameters()):
        nn.init.normal_(parameter, std=0.02)
    return model.train()


def draw_sentences(model: TaskModel, number: int) -> Sentences:
    """As long as those of UD in the recipe's ten languages: log-normal, 20 words, 36 pieces."""
    random = np.random.default_rng(0)
    vocabulary = model.language.backbone.tokenizer.tokenizer.get_vocab()
    pieces = sorted(piece[1:] for piece in vocabulary if piece[:1] == "▁" and piece[1:].isalpha())
    lengths = np.clip(np.exp(random.normal(2.76, 0.72, number)), 1, 80).astype(int)

    def word() -> str:
        return "".join(
            pieces[at] for at in random.integers(len(pieces), size=random.integers(1, 3))
        )

    # a run's batches are of like length
    return sorted(([word() for _ in range(length)] for length in lengths), key=len)


def stepper(model: TaskModel, sentences: Sentences, steps: int) -> Callable[[], None]:
    """So many steps, over other batches each time."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    numbers = count()

    def run() -> None:
        for _ in range(steps):
            start = ROWS * next(numbers) % len(sentences)
            batch = sentences[start : start + ROWS]
            labels = pad_labels([{"tags": [0] * len(words)} for words in batch])
            model(batch, [LANGUAGES[0]] * ROWS, labels)["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def measure(quick: bool) -> list[Result]:
    batches, steps, rounds = (4, 1, 3) if quick else (16, 4, 9)
    plain = tagger()  # before the cache has another place
    cached = tagger()
    sentences = draw_sentences(plain, ROWS * batches)
    before = os.environ.get("MADG_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MADG_CACHE"] = folder
        try:
            know_sentences(cached, sentences, 1.0, "")
        finally:
            os.environ.pop("MADG_CACHE") if before is None else os.environ.update(MADG_CACHE=before)
        ratio, detail = compare(
            stepper(cached, sentences, steps), stepper(plain, sentences, steps), rounds
        )
    detail = f"e5-small, 8 layers, adapters in 4 to 7; {steps} x {ROWS} sentences; {detail}"
    return [Result("task step: prefix cached / not cached", ratio, "x", 0.7, detail)]


if __name__ == "__main__":
    main(measure)
