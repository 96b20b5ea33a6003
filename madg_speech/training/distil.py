"""Distil a source from per-language adapters: the same backbone and head, generated weights.

The teacher is a checkpoint with a per-language source: trained by ``pretrain``, or imported. One
process; minutes for weights, for outputs as long as the steps take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup, set_seed

from madg_speech.adapters import ActiveAdapters
from madg_speech.config import DataConfig, Section, SourceConfig, TrainingConfig
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import find_manifests, load_corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.objectives.distil import hidden_loss, weight_loss, weight_scales
from madg_speech.progress import track
from madg_speech.sources import build_source
from madg_speech.sources.base import WeightSource
from madg_speech.training.progress import say
from madg_speech.training.run import batch_plan, fill_prefix_cache, open_run

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


def distil(config: DistilConfig, data_root: Path, device: str | None = None) -> Distilled:
    """Learn a source from the teacher's adapters; head, backbone and adapter shape are the teacher's.

    Raises:
        ConfigError: the run folder holds a run, or every language is excluded.
        CheckpointError: the teacher has no per-language source, or cannot be loaded.
        ManifestError, DataError: as their names say.
    """
    run = Path(config.output)
    open_run(run, config, resume=False)
    set_seed(config.training.seed)
    model, teacher = _student(config)
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    teacher.to(model.device).requires_grad_(False)
    languages = model.spec.languages
    with torch.no_grad():
        targets = teacher(languages)
    scales = weight_scales(targets)

    if config.match == "weights":
        losses = iter(lambda: weight_loss(model.source(languages), targets, scales), None)
        score = _scored(lambda: weight_loss(model.source(languages), targets, scales), model)
    else:
        batches = _batches(config, model, data_root)
        fixed = [next(batches) for _ in range(SCORED_BATCHES)]
        losses = (_output_loss(model, teacher, batch) for batch in batches)
        score = _scored(
            lambda: torch.stack([_output_loss(model, teacher, b) for b in fixed]).mean(), model
        )
    before = score()
    _train(model, losses, config.training)
    after = score()
    held_out = None
    if config.exclude_languages:
        with torch.no_grad():
            made, wanted = model.source(config.exclude_languages), teacher(config.exclude_languages)
            held_out = float(weight_loss(made, wanted, scales))
    say(f"missing share ({config.match}): {before:.3f} -> {after:.3f}")
    folder = run / "checkpoint"
    model.eval().save_pretrained(folder, _card(config, model, before, after, held_out))
    facts = {"before": before, "after": after, "held_out": held_out}
    described = {"config": json.loads(config.model_dump_json()), "missing_share": facts}
    (run / "run.json").write_text(json.dumps(described, indent=2) + "\n")
    return Distilled(folder, before, after, held_out)


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


def _scored(loss: Any, model: AdaptedModel) -> Any:
    """``loss`` as a number, without dropout or gradients."""

    def score() -> float:
        model.eval()
        with torch.no_grad():
            return float(loss())

    return score


def _train(model: AdaptedModel, losses: Iterator[Tensor], training: TrainingConfig) -> None:
    """AdamW with linear warm-up and decay over ``training.steps``; the source alone learns."""
    optimizer = torch.optim.AdamW(
        model.source.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    schedule = get_linear_schedule_with_warmup(optimizer, training.warmup_steps, training.steps)
    model.train()
    for _ in track(range(training.steps), "distilling"):
        loss = next(losses)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.source.parameters(), training.clip)
        optimizer.step()
        schedule.step()


def _batches(config: DistilConfig, model: AdaptedModel, root: Path) -> Iterator[dict[str, Any]]:
    assert config.data is not None
    rules, training = config.data, config.training
    front_end = model.backbone.front_end
    corpus = load_corpus(find_manifests(rules.train, root), rules, model.vocabulary, front_end)
    strange = sorted(set(corpus.languages) - set(model.spec.languages))
    if strange:
        raise ConfigError(
            f"data.train holds {' '.join(strange)}, which the teacher has no adapter to learn from: "
            "name them in data.exclude_languages"
        )
    say(f"audio: {corpus.summary()}")
    cache = fill_prefix_cache(model, [corpus], training)
    longer = training.model_copy(update={"steps": training.steps + SCORED_BATCHES})
    return iter(
        DataLoader(
            DrawnRows(corpus.table),
            batch_sampler=Draws(batch_plan(longer, corpus)),
            collate_fn=Collator(front_end, cache),
        )
    )


def _output_loss(model: AdaptedModel, teacher: WeightSource, batch: dict[str, Any]) -> Tensor:
    """Hidden states of a batch by the student, the teacher and no adapter, compared."""
    hidden, frames = batch.get("hidden"), batch["lengths"].to(model.device)
    if hidden is None:
        hidden, frames = model.prefix(batch["features"].to(model.device), frames)
    hidden = hidden.to(model.device)
    unique = sorted(set(batch["languages"]))
    rows = [unique.index(language) for language in batch["languages"]]

    with torch.no_grad():
        plain = model.above_prefix(hidden, frames, None)
        target = model.above_prefix(hidden, frames, ActiveAdapters.select(teacher(unique), rows))
    learned = model.adapted_layers(hidden, frames, batch["languages"])
    return hidden_loss(learned, target, plain, frames)


def _card(
    config: DistilConfig,
    model: AdaptedModel,
    before: float,
    after: float,
    held_out: float | None,
) -> str:
    spec = model.spec
    held = "" if held_out is None else f" On the weights of languages held out: {held_out:.3f}."
    return f"""# {spec.source.kind} adapters for {spec.backbone.name}, distilled

Learned from one adapter a language (`{config.teacher}`) by matching {config.match} in
{config.training.steps} steps; the head is the teacher's. Missing share of the target (0 is perfect, 1 is
{"the mean adapter" if config.match == "weights" else "no adapter"}): {before:.3f} before,
{after:.3f} after.{held} No transcript was scored here, and the licence is that of the teacher.

Languages: {" ".join(spec.languages)}
"""
