"""A task run: language adapters and annotated sentences in, task checkpoint out.

Single-source with one language, multi-source with several (Ansell et al. 2021, section 4): at each step
one source language is drawn uniformly, its language adapter is active, and only the task adapter and
the head learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import PartialState
from pydantic import Field
from transformers import set_seed

from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.section import Section
from madg_speech.config.training import DescentConfig
from madg_speech.data.annotate import name_long
from madg_speech.data.sentences import Split, find_split, read_split
from madg_speech.data.text_prefix import know_sentences
from madg_speech.data.turns import Turns
from madg_speech.errors import ConfigError, DataError
from madg_speech.languages import resolve
from madg_speech.tasks.conditions import Condition
from madg_speech.tasks.labels import INVENTORIES, Task
from madg_speech.tasks.model import TaskConfig, TaskModel
from madg_speech.text_model import TextModel
from madg_speech.training.progress import say
from madg_speech.training.run import describe_run, open_run, training_arguments
from madg_speech.training.task_trainer import TaskTrainer, dev_scores

CHECKPOINT = "checkpoint"


class TaskDataConfig(Section):
    """Annotated sentences: ``<folder>/<iso>/{train,dev}.conllu`` or ``.txt``."""

    folder: str = Field(description="Relative to --data-root, $MADG_DATA or the working directory.")
    sources: tuple[str, ...] = Field(min_length=1, description="Languages to learn the task in.")
    per_language: int | None = Field(None, gt=0, description="At most so many sentences of each.")
    dev_per_language: int = Field(100, gt=0, description="At most so many dev sentences of each.")


class TaskTrainingConfig(DescentConfig):
    """Optimisation of a task."""

    sentences_per_batch: int = Field(16, gt=0, description="All of one language.")
    learning_rate: float = Field(5e-4, gt=0, description="Peak of AdamW's rate.")
    cache_prefix: bool = Field(
        True, description="Compute the layers below the lowest adapter once and keep them on disk."
    )


class TaskRunConfig(Section):
    """A whole `madg-speech train-task` run."""

    task: Task
    checkpoint: str | None = Field(
        None, description="Of objective mlm: the language adapters. None: the backbone without any."
    )
    backbone: BackboneConfig | None = Field(None, description="Where there is no checkpoint.")
    adapter_from: str = Field(
        "generated", description="Language adapters while learning: generated, none or a language."
    )
    bottleneck: int = Field(32, gt=0, description="Width of the task adapter.")
    layers: tuple[int, ...] | None = Field(
        None,
        description="With a task adapter; those with a language adapter, or all, when left out.",
    )
    tap: int | None = Field(None, gt=0, description="Read words after so many layers; the last.")
    data: TaskDataConfig
    training: TaskTrainingConfig = TaskTrainingConfig()
    output: str = Field(description="Run folder; the finished checkpoint is output/checkpoint.")


@dataclass(frozen=True)
class _Part:
    """What ``run.json`` and ``left_out.jsonl`` say of a split."""

    fingerprint: str
    left_out: dict[str, list[str]]


def train_task(
    config: TaskRunConfig, data_root: Path, device: str | None = None, resume: bool = False
) -> Path:
    """Train task adapter and head; returns the folder of the finished checkpoint.

    Args:
        config: the resolved configuration.
        data_root: where a relative data folder starts.
        device: ``cpu``, ``cuda`` ...; what Accelerate finds when None.
        resume: go on from the last complete checkpoint in the run folder.

    Raises:
        ConfigError: the run folder holds another run, or there is nothing to resume.
        DataError: a source language without usable training sentences.
        CheckpointError, BackboneError, UnknownLanguageError: as their names say.
    """
    PartialState(cpu=device == "cpu")
    training = config.training
    run = Path(config.output)
    checkpoint = open_run(run, config, resume)
    set_seed(training.seed)
    sources = [resolve(code, say).iso for code in config.data.sources]
    if len(set(sources)) != len(sources):
        raise ConfigError(f"data.sources names a language twice: {', '.join(sources)}")
    train, dev = _read(config, data_root, sources)
    model, condition = _build(config, sources)
    for name, split in (("train", train), ("dev", dev)):
        sentences = [s for of in split.sentences.values() for s in of]
        split_up, cut = name_long(model, sentences)
        if split_up:
            say(
                f"{name}: {len(split_up)} sentences are read in several windows (first: {split_up[0]})"
            )
        if cut:
            say(f"{name}: of {len(cut)} words only the beginning is read (first: {cut[0][0]})")
    parts = {"train": _part(train)} | ({"dev": _part(dev)} if dev.sentences else {})
    describe_run(run, config, parts)
    if training.cache_prefix:
        model.to(PartialState().device)
        words = [s.words for of in (train, dev) for found in of.sentences.values() for s in found]
        know_sentences(
            model,
            words,
            training.cache_limit_gb,
            "raise training.cache_limit_gb or set training.cache_prefix: false",
        )
    rows = [(sentence, iso) for iso in sources for sentence in train.sentences[iso]]
    batches = training.steps * PartialState().num_processes
    trainer = TaskTrainer(
        model,
        training_arguments(
            training, run, device, cached=True, dev=bool(dev.sentences), metric="error"
        ),
        Turns(
            [iso for _, iso in rows],
            [len(sentence.words) for sentence, _ in rows],
            batches,
            training.sentences_per_batch,
            training.seed,
        ),
        rows,
        dev.sentences,
        condition,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.load_best()
    finished = run / CHECKPOINT
    if trainer.is_world_process_zero():
        scores = dev_scores(model, dev.sentences, condition)
        rounded = {iso: round(value, 4) for iso, value in scores.items()}
        model.spec = model.spec.model_copy(update={"dev_scores": rounded})
        model.save_pretrained(finished, _card(model, config, train))
    return finished


def _read(config: TaskRunConfig, root: Path, sources: Sequence[str]) -> tuple[Split, Split]:
    folder = root / Path(config.data.folder).expanduser()
    train = read_split(folder, "train", config.task, sources, config.data.per_language)
    say(f"train: {train.summary()}")
    try:
        scored = [iso for iso in sources if iso in find_split(folder, "dev")]
    except DataError:  # no language has a dev file
        scored = []
    dev = read_split(folder, "dev", config.task, scored, config.data.dev_per_language)
    say(f"dev: {dev.summary()}")
    return train, dev


def _build(config: TaskRunConfig, sources: Sequence[str]) -> tuple[TaskModel, Condition]:
    if config.checkpoint:
        language = TextModel.from_pretrained(config.checkpoint)
    elif config.backbone:
        b = config.backbone
        language = TextModel.from_backbone(b.name, b.revision, b.layers)
    else:
        raise ConfigError("expected checkpoint (language adapters) or backbone (none)")
    condition = Condition("none" if language.source is None else config.adapter_from, language)
    count = config.tap or len(language.backbone.layers)
    own = language.source.shape.layers if language.source is not None else range(count)
    spec = TaskConfig(
        task=config.task,
        labels=INVENTORIES[config.task],
        bottleneck=config.bottleneck,
        layers=tuple(own if config.layers is None else config.layers),
        tap=config.tap,
        adapter_from=condition.name,
        sources=tuple(sources),
    )
    return TaskModel(language, spec), condition


def _part(split: Split) -> _Part:
    digest = hashlib.blake2b(digest_size=16)
    for iso, sentences in sorted(split.sentences.items()):
        for s in sentences:
            digest.update(json.dumps([iso, s.words, s.tags, s.tree and s.tree.heads]).encode())
    return _Part(digest.hexdigest(), split.reasons())


def _card(model: TaskModel, config: TaskRunConfig, train: Split) -> str:
    spec, language = model.spec, model.language.spec
    sizes = ", ".join(f"{iso} {len(rows)}" for iso, rows in train.sentences.items())
    lines = [
        f"# {spec.task} on {language.backbone.name} with {language.source.kind} language adapters",
        "",
        f"Task adapter (width {spec.bottleneck}, layers {list(spec.layers)}) and head, trained by "
        f"madg-speech for {config.training.steps} steps; language adapters: {spec.adapter_from}.",
        "",
        f"Sentences: {sizes}. The annotations' licences apply.",
    ]
    if spec.dev_scores:
        lines += ["", "| dev language | score |", "|---|---|"]
        lines += [f"| {iso} | {value:.3f} |" for iso, value in spec.dev_scores.items()]
    return "\n".join(lines) + "\n"
