"""A run folder and what every kind of training does alike: begin or resume, describe, cache, plan.

``run.json`` says what was started, ``left_out.jsonl`` which utterances were not used and why, and
``checkpoint-N`` folders with a completion marker where ``--resume`` goes on.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import PartialState
from pydantic import ValidationError
from torch import Tensor
from transformers import TrainingArguments

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.audio import Waveform
from madg_speech.backbones.base import FrontEnd
from madg_speech.cache import atomic_path
from madg_speech.config.section import Section
from madg_speech.config.training import DescentConfig, TrainingConfig
from madg_speech.data.augment import Augmenter, Rendition
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import Corpus
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.errors import ConfigError
from madg_speech.text.vocabulary import ctc_frames_needed
from madg_speech.training.trainer import MARKER, last_complete_checkpoint

PACKAGES = ("madg-speech", "torch", "transformers", "accelerate", "datasets", "lang2vec", "uroman")
DESCRIPTION, LEFT_OUT = "run.json", "left_out.jsonl"


def open_run(run: Path, config: Section, resume: bool) -> Path | None:
    """Make the run folder, or find where to go on: the last complete checkpoint or None, the start.

    What a killed process left half-written is removed.

    Raises:
        ConfigError: the folder holds a run already, another run, or nothing to resume.
    """
    described = run / DESCRIPTION
    if not resume:
        if described.exists():
            raise ConfigError(f"{run} holds a run already: --resume continues it, or change output")
        run.mkdir(parents=True, exist_ok=True)
        return None
    if not run.is_dir():
        raise ConfigError(f"{run} holds no run to resume")
    if not described.exists():
        return None  # killed while the manifests were read
    # Read as a configuration: what an older version of this package did not know has its default.
    stored = json.loads(described.read_text())["config"]
    try:
        before = type(config).model_validate(stored).model_dump()
    except ValidationError:
        raise ConfigError(
            f"{run} was started with another configuration: see {described}"
        ) from None
    changed = [key for key, value in config.model_dump().items() if value != before[key]]
    if changed:
        raise ConfigError(f"{run} was started with another {', '.join(changed)}: see {described}")
    if PartialState().is_main_process:
        for path in [*run.glob("checkpoint-*"), *run.glob(".tmp-*")]:
            if not (path / MARKER).exists():
                shutil.rmtree(path)
    return last_complete_checkpoint(run)


class Described(Protocol):
    """Training data as a run folder describes it."""

    @property
    def fingerprint(self) -> str:
        """Changes with the data."""

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Reason -> what was not used."""


def describe_run(run: Path, config: Section, corpora: Mapping[str, Described]) -> None:
    """Write ``run.json`` and ``left_out.jsonl``, or check that a resumed run has the same data.

    Raises:
        ConfigError: a manifest or an audio file has changed since the run was started.
    """
    state = PartialState()
    state.wait_for_everyone()  # nobody may see run.json before all have looked for an older run
    described = run / DESCRIPTION
    data = {split: corpus.fingerprint for split, corpus in corpora.items()}
    if described.exists():
        before = json.loads(described.read_text())["data"]
        for split in sorted(before.keys() | data.keys()):
            if before.get(split) != data.get(split):
                raise ConfigError(
                    f"the {split} manifests or their audio files are not those that {run} was "
                    f"started with (fingerprint {before.get(split)}, now {data.get(split)}): "
                    "restore them, or start a new run with another output"
                )
    elif state.is_main_process:
        left_out = [
            {"split": split, "reason": reason, "id": row_id}
            for split, corpus in corpora.items()
            for reason, ids in corpus.left_out.items()
            for row_id in ids
        ]
        with atomic_path(run / LEFT_OUT) as draft:
            draft.write_text("".join(json.dumps(entry) + "\n" for entry in left_out))
        description = {
            "config": json.loads(config.model_dump_json()),
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "data": data,
            "left_out": {
                split: {reason: len(ids) for reason, ids in corpus.left_out.items()}
                for split, corpus in corpora.items()
            },
        }
        with atomic_path(described) as draft:
            draft.write_text(json.dumps(description, indent=2) + "\n")
    state.wait_for_everyone()


def fill_prefix_cache(
    model: AdaptedEncoder, corpora: Sequence[Corpus], training: TrainingConfig
) -> PrefixCache | None:
    """Compute what the cache lacks; None where configuration or adapters leave no prefix."""
    if not training.cache_prefix or model.prefix_layers == 0:
        return None
    model.to(PartialState().device)
    cache = PrefixCache(model)
    audio: dict[str, Path] = {}
    seconds: dict[str, float] = {}
    for corpus in corpora:
        for key, path, length in zip(
            corpus.table["audio_hash"], corpus.table["audio"], corpus.table["seconds"], strict=True
        ):
            audio[key], seconds[key] = Path(path), length
    cache.fill(model, audio, seconds, training.cache_limit_gb)
    return cache


def fill_views(
    model: AdaptedEncoder, train: Corpus, training: TrainingConfig
) -> tuple[PrefixCache, ...]:
    """Compute what the augmented views of the training audio lack; empty where none are asked for.

    Views do not depend on the run's seed: runs with several seeds share them.
    """
    config = training.augment
    if not config.cached_views or model.prefix_layers == 0:
        return ()
    augmenter = Augmenter(config, seed=0)
    numbers = range(1, config.cached_views + 1)
    views = tuple(PrefixCache(model, augmenter.view_name(number)) for number in numbers)
    table = train.table
    audio = {key: Path(path) for key, path in zip(table["audio_hash"], table["audio"], strict=True)}
    slowest = min(1.0, config.speed[0]) if config.speed else 1.0
    lengths = [length / slowest for length in table["seconds"]]
    seconds = dict(zip(table["audio_hash"], lengths, strict=True))
    needed: dict[str, int] = {}
    for key, labels in zip(table["audio_hash"], table["labels"], strict=True):
        needed[key] = max(needed.get(key, 0), ctc_frames_needed(labels))
    missing = (seconds[key] for view in views for key in audio if key not in view.index)
    views[0].check_seconds(missing, training.cache_limit_gb)

    for number, view in zip(numbers, views, strict=True):

        def features(
            keys: Sequence[str], waveforms: Sequence[Waveform], number: int = number
        ) -> tuple[Tensor, Tensor]:
            renditions = [Rendition(key, number, needed[key]) for key in keys]
            return augmenter.features(
                waveforms, renditions, model.backbone.front_end, str(model.device)
            )

        view.fill(model, audio, seconds, training.cache_limit_gb, features=features)
    return views


def shortest_row(front_end: FrontEnd) -> float:
    """Seconds that any utterance takes up in a batch at least: a full window's where it is padded."""
    return front_end.frames(1) / front_end.frame_rate


def batch_plan(training: TrainingConfig, corpus: Corpus, shortest: float = 0.0) -> BatchPlan:
    """The batches of the whole run over all processes; ``shortest``: :func:`shortest_row`."""
    return BatchPlan(
        corpus.table["seconds"],
        corpus.table["lang"],
        training.steps * training.gradient_accumulation * PartialState().num_processes,
        training.seconds_per_batch,
        training.smoothing,
        training.languages_per_batch,
        training.seed,
        shortest=shortest,
    )


def training_arguments(
    training: DescentConfig,
    run: Path,
    device: str | None,
    cached: bool,
    dev: bool,
    metric: str = "cer",
    gradient_accumulation: int = 1,
) -> TrainingArguments:
    """What the Trainer is told. Checkpoints are pruned and the best one loaded by AdapterTrainer."""
    scored: dict[str, Any] = {"eval_strategy": "no"}
    if dev:
        scored = {
            "eval_strategy": "steps",
            "eval_steps": training.eval_every,
            "metric_for_best_model": metric,
            "greater_is_better": False,
        }
    return TrainingArguments(
        output_dir=str(run),
        max_steps=training.steps,
        gradient_accumulation_steps=gradient_accumulation,
        learning_rate=training.learning_rate,
        warmup_steps=training.warmup_steps,
        lr_scheduler_type="linear",
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip,
        seed=training.seed,
        bf16=training.mixed_precision == "bf16",
        fp16=training.mixed_precision == "fp16",
        use_cpu=device == "cpu" or not torch.accelerator.is_available(),
        logging_steps=min(50, training.eval_every),
        save_steps=training.eval_every,
        report_to=["tensorboard"],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=_loader_processes(cached),
        accelerator_config={"even_batches": False, "dispatch_batches": False},
        **scored,
    )


def _loader_processes(cached: bool) -> int:
    """None where a memory map is read, some where audio is decoded."""
    return 0 if cached else min(4, max(0, (os.cpu_count() or 1) - 2))
