"""Distil a source from per-language adapters: the same backbone and head, generated weights.

The teacher is a checkpoint with a per-language source: trained by ``pretrain``, or imported. Matching
weights takes a minute, matching outputs as long as the steps take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from pydantic import Field, model_validator
from transformers import set_seed

from madg_speech.config.data import DataConfig
from madg_speech.config.section import Section
from madg_speech.config.source import SourceConfig
from madg_speech.config.training import TrainingConfig
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import find_manifests, load_corpus
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.sources import build_source
from madg_speech.sources.base import WeightSource
from madg_speech.training.distil_trainer import DistilTrainer, Lesson, Listening
from madg_speech.training.progress import say
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    open_run,
    training_arguments,
)

SCORED_BATCHES = 8


class DistilConfig(Section):
    """A whole `madg-speech pretrain` run with ``objective: distil``."""

    objective: Literal["distil"]
    teacher: str = Field(description="Checkpoint with a per-language source.")
    match: Literal["weights", "outputs"] = Field(
        "weights", description="The adapters' weights, or the hidden states that they give."
    )
    source: SourceConfig = SourceConfig()
    exclude_languages: tuple[str, ...] = Field(
        (), description="Adapters not learned from: weights are also scored on these."
    )
    data: DataConfig | None = Field(None, description="Audio to match outputs on; texts unused.")
    training: TrainingConfig = TrainingConfig()
    output: str = Field(description="Run folder; the finished checkpoint is output/checkpoint.")

    @model_validator(mode="after")
    def _audio_for_outputs(self) -> DistilConfig:
        if self.match == "outputs" and self.data is None:
            raise ValueError("match: outputs needs audio: give data.train")
        return self


@dataclass(frozen=True)
class Distilled:
    """The new checkpoint, and the missing share (see the objective) before and after.

    ``held_out`` is that of the excluded languages' weights; None without any.
    """

    folder: Path
    before: float
    after: float
    held_out: float | None


def distil(
    config: DistilConfig, data_root: Path, device: str | None = None, resume: bool = False
) -> Distilled:
    """Learn a source from the teacher's adapters; head, backbone and adapter shape are the teacher's.

    Raises:
        ConfigError: the run folder holds another run, there is nothing to resume, or every language is
            excluded.
        CheckpointError: the teacher has no per-language source, or cannot be loaded.
        ManifestError, DataError: as their names say.
    """
    PartialState(cpu=device == "cpu")
    training, run = config.training, Path(config.output)
    checkpoint = open_run(run, config, resume)
    set_seed(training.seed)
    student, teacher = _student(config)
    lesson = Lesson(student, teacher).to(PartialState().device)
    listening = _listening(config, student, data_root) if config.match == "outputs" else None
    describe_run(run, config, {"train": listening.corpus} if listening else {})
    arguments = training_arguments(
        training,
        run,
        device,
        cached=training.cache_prefix or listening is None,
        dev=False,
        gradient_accumulation=training.gradient_accumulation,
    )
    trainer = DistilTrainer(lesson, arguments, listening)
    before = _missing_share(lesson, listening, training)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    after = _missing_share(lesson, listening, training)
    held_out = None
    if config.exclude_languages:
        with torch.no_grad():
            held_out = float(lesson(list(config.exclude_languages))["loss"])
    say(f"missing share ({config.match}): {before:.3f} -> {after:.3f}")
    finished = Distilled(run / "checkpoint", before, after, held_out)
    if trainer.is_world_process_zero():
        student.save_pretrained(finished.folder, _card(config, student, finished))
    return finished


def _missing_share(lesson: Lesson, listening: Listening | None, training: TrainingConfig) -> float:
    """Of all weights, or of the outputs on a few batches of the audio; without dropout."""
    lesson.eval()
    batches: Iterable[dict[str, Any]] = [{"languages": list(lesson.student.spec.languages)}]
    if listening:
        few = training.model_copy(update={"steps": SCORED_BATCHES, "seed": training.seed + 1})
        rows = listening.corpus.table
        batches = (
            listening.collator([rows[row] for row in batch])
            for batch in batch_plan(few, listening.corpus)
        )
    with torch.no_grad():
        shares = [
            float(lesson(**send_to_device(batch, lesson.student.device))["loss"])
            for batch in batches
        ]
    return sum(shares) / len(shares)


def _student(config: DistilConfig) -> tuple[AdaptedModel, WeightSource]:
    taught = AdaptedModel.from_pretrained(config.teacher)
    teacher = taught.source
    if taught.spec.source.kind != "per-language":
        raise CheckpointError(
            f"teacher: {config.teacher} has a {taught.spec.source.kind} source; expected per-language "
            "adapters (`madg-speech import`, or pretrain with source.kind: per-language)"
        )
    unknown = sorted(set(config.exclude_languages) - set(taught.spec.languages))
    languages = tuple(c for c in taught.spec.languages if c not in config.exclude_languages)
    if unknown or not languages:
        raise ConfigError(
            f"exclude_languages: {' '.join(unknown or config.exclude_languages)}; the teacher has "
            f"{' '.join(taught.spec.languages)}, of which at least one must be left"
        )
    shape = teacher.shape
    source = config.source.model_copy(
        update={"layers": shape.layers, "bottleneck": shape.bottleneck, "norm": shape.norm}
    )
    built = build_source(source, shape.hidden_size, len(taught.backbone.layers), languages)
    if built is None:
        raise ConfigError("source.kind: none learns nothing; choose madg, madg-ls or two-stage")
    update = {"source": source, "languages": languages, "expected_cer": {}}
    taught.injection.detach()
    student = AdaptedModel(
        taught.backbone, built, taught.vocabulary, taught.spec.model_copy(update=update)
    )
    student.head.load_state_dict(taught.head.state_dict())
    student.head.requires_grad_(False)
    return student, teacher


def _listening(config: DistilConfig, model: AdaptedModel, root: Path) -> Listening:
    assert config.data is not None
    rules, front_end = config.data, model.backbone.front_end
    corpus = load_corpus(find_manifests(rules.train, root), rules, model.vocabulary, front_end)
    strange = sorted(set(corpus.languages) - set(model.spec.languages))
    if strange:
        raise ConfigError(
            f"data.train holds {' '.join(strange)}, which the teacher has no adapter to learn from: "
            "name them in data.exclude_languages"
        )
    say(f"audio: {corpus.summary()}")
    cache = fill_prefix_cache(model, [corpus], config.training)
    return Listening(corpus, batch_plan(config.training, corpus), Collator(front_end, cache))


def _card(config: DistilConfig, model: AdaptedModel, done: Distilled) -> str:
    spec = model.spec
    held = ""
    if done.held_out is not None:
        held = f" On the weights of languages held out: {done.held_out:.3f}."
    return f"""# {spec.source.kind} adapters for {spec.backbone.name}, distilled

Learned from one adapter a language (`{config.teacher}`) by matching {config.match} in
{config.training.steps} steps; the head is the teacher's. Missing share of the target (0 is perfect, 1 is
{"the mean adapter" if config.match == "weights" else "no adapter"}): {done.before:.3f} before,
{done.after:.3f} after.{held} No transcript was scored here, and the licence is that of the teacher.

Languages: {" ".join(spec.languages)}
"""
