"""A pretraining run: configuration in, run folder and checkpoint out."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.cache import atomic_path
from madg_speech.config import PretrainConfig
from madg_speech.data.batches import BatchPlan
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import Corpus, find_manifests, load_corpus
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.errors import CheckpointError, ConfigError, DataError
from madg_speech.model import AdaptedModel, ModelConfig, read_model_config, read_weights
from madg_speech.sources import build_source
from madg_speech.splits import training_group
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.training.card import training_card
from madg_speech.training.trainer import (
    AudioSpeed,
    SpeechTrainer,
    data_workers,
    dev_error_rates,
    last_complete_checkpoint,
)

PACKAGES = ("madg-speech", "torch", "transformers", "accelerate", "datasets", "lang2vec", "uroman")


def pretrain(
    config: PretrainConfig, data_root: Path, device: str | None = None, resume: bool = False
) -> Path:
    """Train source and head; returns the folder of the finished checkpoint.

    Args:
        config: the resolved configuration.
        data_root: where relative manifest paths start.
        device: ``cpu``, ``cuda`` ...; what Accelerate finds when None.
        resume: go on from the last complete checkpoint in the run folder.

    Raises:
        ConfigError: the run folder holds another run, or there is nothing to resume.
        ManifestError, DataError, BackboneError, CheckpointError: as their names say.
    """
    run = Path(config.output)
    checkpoint = _prepare_run(run, config, resume)
    set_seed(config.training.seed)
    vocabulary = Vocabulary.romanized()
    train, dev = _load_corpora(config, data_root, vocabulary)
    model = _build_model(config, vocabulary, train.languages)
    cache = _fill_cache(model, config, [train] + ([dev] if dev else []), device)
    plan = _plan(config, train)
    trainer = SpeechTrainer(
        model,
        _arguments(config, run, device, cached=cache is not None, dev=dev is not None),
        plan,
        train,
        dev,
        Collator(model.backbone.mel_bins, cache),
        {name: training_group(name, train.languages) for name in (dev.languages if dev else [])},
        _callbacks(config, plan),
    )
    _describe_run(run, config, train, dev)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finished = run / "checkpoint"
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        rates = dev_error_rates(model, dev.table, trainer.data_collator) if dev else {}
        model.spec = model.spec.model_copy(
            update={"expected_cer": _by_group(rates, trainer.groups)}
        )
        model.save_pretrained(finished, training_card(model.spec, config, train, rates))
    return finished


def _prepare_run(run: Path, config: PretrainConfig, resume: bool) -> Path | None:
    described = run / "run.json"
    if not resume:
        if described.exists():
            raise ConfigError(f"{run} holds a run already: --resume continues it, or change output")
        return None
    if not described.exists():
        raise ConfigError(f"{run} holds no run to resume")
    before = json.loads(described.read_text())["config"]
    now = json.loads(config.model_dump_json())
    changed = [key for key in now if now[key] != before.get(key)]
    if changed:
        raise ConfigError(f"{run} was started with another {', '.join(changed)}: see {described}")
    return last_complete_checkpoint(run)


def _load_corpora(
    config: PretrainConfig, root: Path, vocabulary: Vocabulary
) -> tuple[Corpus, Corpus | None]:
    train = load_corpus(find_manifests(config.data.train, root), config.data, vocabulary)
    print(f"train: {train.summary()}")
    if not config.data.dev:
        return train, None
    # Languages held out of training are what a dev set is for: exclusions apply to training alone.
    rules = config.data.model_copy(update={"exclude_languages": (), "exclude_licenses": ()})
    dev = load_corpus(find_manifests(config.data.dev, root), rules, vocabulary)
    wanted = config.data.dev_languages
    taken: dict[str, int] = {}
    rows = []
    for i, language in enumerate(dev.table["lang"]):
        if wanted is not None and language not in wanted:
            continue
        taken[language] = taken.get(language, 0) + 1
        if taken[language] <= config.data.dev_per_language:
            rows.append(i)
    overlap = set(train.table["audio_hash"]) & set(dev.table["audio_hash"])
    if overlap:
        raise DataError(f"{len(overlap)} recordings stand in both train and dev manifests")
    dev = Corpus(dev.table.select(rows), dev.left_out, dev.fingerprint)
    print(f"dev: {dev.summary()}")
    return train, dev


def _build_model(
    config: PretrainConfig, vocabulary: Vocabulary, languages: list[str]
) -> AdaptedModel:
    backbone = WhisperBackbone.from_pretrained(config.backbone.name, config.backbone.revision)
    source = build_source(config.source, backbone.hidden_size, len(backbone.layers), languages)
    described = ModelConfig(
        backbone=config.backbone,
        hidden_size=backbone.hidden_size,
        layers=len(backbone.layers),
        source=config.source,
        languages=tuple(languages),
    )
    model = AdaptedModel(backbone, source, vocabulary, described, config.training.mask_time)
    if config.init_from:
        start_from(model, Path(config.init_from))
    return model


def start_from(model: AdaptedModel, folder: Path) -> None:
    """Take head and adapters from a checkpoint; a static one fills the static part of two-stage.

    Raises:
        CheckpointError: its source is neither of the same kind nor static under two-stage.
    """
    kind, own = read_model_config(folder).source.kind, model.spec.source.kind
    state = read_weights(folder)
    if (kind, own) == ("static", "two-stage"):
        state = {name.replace("source.", "source.static."): value for name, value in state.items()}
        fresh = model.trainable_state()
        state = {**{name: fresh[name] for name in fresh if name not in state}, **state}
    elif kind != own:
        raise CheckpointError(f"init_from: {folder} has a {kind} source, this run a {own} one")
    model.load_trainable_state(state, str(folder))


def _fill_cache(
    model: AdaptedModel, config: PretrainConfig, corpora: list[Corpus], device: str | None
) -> PrefixCache | None:
    if not config.training.cache_prefix or model.prefix_layers == 0:
        return None
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cache = PrefixCache(model)
    audio: dict[str, Path] = {}
    seconds: dict[str, float] = {}
    for corpus in corpora:
        for key, path, length in zip(
            corpus.table["audio_hash"], corpus.table["audio"], corpus.table["seconds"], strict=True
        ):
            audio[key], seconds[key] = Path(path), length
    cache.fill(model, audio, seconds, config.training.cache_limit_gb)
    return cache


def _plan(config: PretrainConfig, train: Corpus) -> BatchPlan:
    from accelerate import PartialState

    t = config.training
    return BatchPlan(
        train.table["seconds"],
        train.table["lang"],
        t.steps * t.gradient_accumulation * PartialState().num_processes,
        t.seconds_per_batch,
        t.smoothing,
        t.languages_per_batch,
        t.seed,
    )


def _callbacks(config: PretrainConfig, plan: BatchPlan) -> list[Any]:
    speed = AudioSpeed(plan, len(plan) // config.training.steps)
    if config.training.patience is None or not config.data.dev:
        return [speed]
    return [speed, EarlyStoppingCallback(config.training.patience)]


def _arguments(
    config: PretrainConfig, run: Path, device: str | None, cached: bool, dev: bool
) -> TrainingArguments:
    t = config.training
    return TrainingArguments(
        output_dir=str(run),
        max_steps=t.steps,
        gradient_accumulation_steps=t.gradient_accumulation,
        learning_rate=t.learning_rate,
        warmup_steps=t.warmup_steps,
        lr_scheduler_type="linear",
        weight_decay=t.weight_decay,
        max_grad_norm=t.clip,
        seed=t.seed,
        bf16=t.mixed_precision == "bf16",
        fp16=t.mixed_precision == "fp16",
        use_cpu=device == "cpu",
        logging_steps=min(50, t.eval_every),
        eval_strategy="steps" if dev else "no",
        eval_steps=t.eval_every,
        save_steps=t.eval_every,
        save_total_limit=2,
        load_best_model_at_end=dev,
        metric_for_best_model="cer" if dev else None,
        greater_is_better=False if dev else None,
        report_to=["tensorboard"],
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=data_workers(cached),
        accelerator_config={"even_batches": False, "dispatch_batches": False},
    )


def _describe_run(run: Path, config: PretrainConfig, train: Corpus, dev: Corpus | None) -> None:
    run.mkdir(parents=True, exist_ok=True)
    description = {
        "config": json.loads(config.model_dump_json()),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "data": {"train": train.fingerprint, "dev": dev.fingerprint if dev else None},
        "left_out": {reason: len(ids) for reason, ids in train.left_out.items()},
    }
    with atomic_path(run / "run.json") as draft:
        draft.write_text(json.dumps(description, indent=2) + "\n")


def _by_group(rates: dict[str, float], groups: dict[str, str]) -> dict[str, float]:
    members: dict[str, list[float]] = {}
    for language, rate in rates.items():
        members.setdefault(groups[language], []).append(rate)
    return {group: round(sum(values) / len(values), 4) for group, values in members.items()}
