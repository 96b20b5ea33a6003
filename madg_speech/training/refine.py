"""MAD-G-ft: from a generated adapter (or its λ alone) to one tuned on minutes of one language.

The backbone, the head and, for λ, the generator stay frozen. Output: ``adapter.safetensors`` with
the weights of one language, ``adapter.json`` with what they came from and what they gained (written
last: where it is, the refinement is finished), and the run folder ``run``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from pydantic import Field
from torch import Tensor
from transformers import set_seed

from madg_speech.adapters import AdapterWeights
from madg_speech.cache import atomic_path
from madg_speech.config import BestRqConfig, Section, TrainingConfig
from madg_speech.data.collate import Collator
from madg_speech.errors import CheckpointError, ConfigError, UnknownLanguageError
from madg_speech.languages import language_code, resolve
from madg_speech.model import (
    AdaptedEncoder,
    AdaptedModel,
    checkpoint_folder,
    load_encoder,
    read_model_config,
    read_weights,
)
from madg_speech.objectives.masked_prediction import MaskedPrediction
from madg_speech.sources import build_source
from madg_speech.sources.base import WeightSource
from madg_speech.sources.free_embedding import FreeEmbedding
from madg_speech.sources.madg import MadG
from madg_speech.sources.static import Static
from madg_speech.sources.two_stage import TwoStage
from madg_speech.training.minutes import load_minutes
from madg_speech.training.progress import say
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    open_run,
    training_arguments,
)
from madg_speech.training.setup import BEST_RQ, prediction_collator
from madg_speech.training.trainer import CTC, PHONE_CTC, SpeechTrainer

ADAPTER, FACTS = "adapter.safetensors", "adapter.json"
Tune = Literal["adapter", "lambda"]
Start = Literal["generated", "static", "random"]
LEARNING_RATES: dict[Tune, float] = {"adapter": 1e-3, "lambda": 1e-2}


class RefineConfig(Section):
    """A whole `madg-speech refine` run."""

    checkpoint: str = Field("default", description="Checkpoint folder.")
    language: str = Field(description="ISO 639-3 code, or another name of the language.")
    manifests: tuple[str, ...] = Field(min_length=1, description="Transcribed audio to learn from.")
    dev: str | None = Field(None, description="Manifest to score; a tenth is held out without one.")
    tune: Tune = Field("adapter", description="All of the adapter, or only λ.")
    start: Start = Field(
        "generated", description="From the vector, what languages share, or noise."
    )
    objective: Literal["ctc", "best-rq"] = Field("ctc", description="best-rq needs no text.")
    best_rq: BestRqConfig = BestRqConfig()
    steps: int = Field(300, gt=0, description="Most optimiser steps; dev CER may stop it earlier.")
    learning_rate: float | None = Field(None, gt=0, description="Peak rate.")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="As in training.")
    seed: int = Field(0, description="Batches, masks, random start.")


@dataclass(frozen=True)
class Refined:
    """The new adapter's folder, and the dev score (``cer`` or ``loss``) before and after."""

    folder: Path
    metric: str
    before: float
    after: float


def refine(
    config: RefineConfig, output: Path, device: str | None = None, resume: bool = False
) -> Refined:
    """Tune the adapter of one language and save it to ``output``.

    Training stops when the dev score has not improved for six scores; the best step is kept, or the
    start where nothing beat it. The score after it is that of a set on which the step was chosen.

    Without text (``best-rq``) the score is the loss of masked prediction, which need not go with
    CER: compare on transcribed audio where there is any. A checkpoint pretrained by ``best-rq``
    brings a head for it; else a new one learns alone for the first third of the steps.

    Raises:
        UnknownLanguageError: no such language, or no vector to generate its adapter from.
        ConfigError: ``output`` holds another run; λ of a checkpoint that has none.
        DataError: too little audio of the language to hold a tenth out, or none.
        ManifestError, CheckpointError, BackboneError: as their names say.
    """
    PartialState(cpu=device == "cpu")
    facts = output / FACTS
    run = output / "run"
    checkpoint = open_run(run, config, resume)
    if facts.is_file():
        known = json.loads(facts.read_text(encoding="utf-8"))
        metric = known["metric"]
        scored = [known[f"dev_{metric}_{when}"] for when in ("before", "after")]
        return Refined(output, metric, *scored)
    set_seed(config.seed)
    model = _load(config)
    objective = BEST_RQ
    if model.vocabulary is not None:
        objective = PHONE_CTC if model.vocabulary.kind == "phones" else CTC
    metric = objective.metric
    language, start = choose_start(config, model)
    train, dev = load_minutes(
        config.manifests, config.dev, language, model.vocabulary, model.backbone
    )
    model.source = starting_source(model, language, config.tune, start)
    training = training_config(config)
    if isinstance(model, AdaptedModel):
        model.head.requires_grad_(False)
        model.mask_time = training.mask_time
    describe_run(run, config, {"train": train, "dev": dev})
    cache = fill_prefix_cache(model, [train, dev], training)
    trainer = SpeechTrainer(
        model,
        training_arguments(
            training, run, device, cache is not None, True, metric, training.gradient_accumulation
        ),
        batch_plan(training, train),
        train,
        dev,
        prediction_collator(model, config.best_rq, cache, config.seed)
        if isinstance(model, MaskedPrediction)
        else Collator(model.backbone.front_end, cache),
        groups={},
        patience=training.patience,
        objective=objective,
    )

    def score() -> float:
        return objective.scores(model, dev.table, trainer.data_collator)[metric][language]

    model.eval()
    before = score()
    begun = {name: value.clone() for name, value in model.trainable_state().items()}
    say(f"dev {metric} before: {before:.3f}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    after = score()
    if after > before:
        say(f"no step was better than the start (best {after:.3f}): the start is kept")
        model.load_trainable_state(begun, str(run))
        after = before
    say(f"dev {metric} after: {after:.3f}")
    if trainer.is_world_process_zero():
        with torch.no_grad():
            model.source([language]).save(output / ADAPTER, [language])
        description = {
            "checkpoint": config.checkpoint,
            "language": language,
            "tune": config.tune,
            "start": start,
            "minutes": round(sum(train.table["seconds"]) / 60, 2),
            "objective": config.objective,
            "metric": metric,
            f"dev_{metric}_before": round(before, 4),
            f"dev_{metric}_after": round(after, 4),
        }
        with atomic_path(facts) as draft:
            draft.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return Refined(output, metric, before, after)


def _load(config: RefineConfig) -> AdaptedEncoder:
    """The checkpoint, with the head that the objective needs."""
    folder = checkpoint_folder(config.checkpoint)
    if config.objective == "ctc":
        return AdaptedModel.from_pretrained(folder)
    spec = read_model_config(folder)
    encoder = load_encoder(spec, folder)
    source = build_source(spec.source, spec.hidden_size, spec.layers, spec.languages)
    state = read_weights(folder)
    pretrained = spec.objective == "best-rq"
    codes, size = config.best_rq.codes, config.best_rq.code_size
    if pretrained:
        codes, size = state["codebook"].shape
    model = MaskedPrediction(encoder, source, spec, codes, size)
    if pretrained:
        model.load_trainable_state(state, str(folder))
    else:
        adapters = {name: value for name, value in state.items() if name.startswith("source.")}
        model.load_trainable_state(model.trainable_state() | adapters, str(folder))
        model.head_first = config.steps // 3
    return model


def training_config(config: RefineConfig) -> TrainingConfig:
    """Batches of 45 s and a score every 25 steps suit one minute as well as sixty."""
    return TrainingConfig(
        steps=config.steps,
        learning_rate=config.learning_rate or LEARNING_RATES[config.tune],
        warmup_steps=min(10, config.steps // 10),
        eval_every=min(25, config.steps),
        patience=6,
        mixed_precision=config.mixed_precision,
        seed=config.seed,
    )


def choose_start(config: RefineConfig, model: AdaptedEncoder) -> tuple[str, Start]:
    """The language's code, and the start that it can have: λ without a vector begins at the mean.

    Raises:
        UnknownLanguageError: no such language, or a generated adapter asked for without a vector.
    """
    try:
        return resolve(config.language, say).iso, config.start
    except UnknownLanguageError as error:
        code = language_code(config.language)
        if config.start != "generated" or isinstance(model.source, Static):
            return code, config.start
        if config.tune == "lambda":
            say(f"{code} has no URIEL vector: λ starts at the mean of the trained languages")
            return code, "static"
        raise UnknownLanguageError(
            f"{error}; or refine it with --tune lambda, which needs no vector"
        ) from None


def starting_source(model: AdaptedEncoder, language: str, tune: Tune, start: Start) -> WeightSource:
    """What is tuned, at its first value.

    ``static`` is what all languages share: a static source's own weights, or those at the mean λ of
    the trained languages (in a two-stage source that is its static part). ``random`` is an
    untrained adapter, or a λ drawn from a normal distribution with the trained languages' mean and
    deviation.

    Raises:
        CheckpointError: a checkpoint without adapters.
        ConfigError: λ of a source that has none.
    """
    source = model.source
    trained = model.spec.languages
    if source is None:
        raise CheckpointError("this checkpoint has no adapters to refine: choose another one")
    if isinstance(source, MadG | TwoStage):
        with torch.no_grad():
            embedding = _embedding(source, trained, language, start)
            if tune == "lambda":
                return FreeEmbedding(source, embedding)
            weights = source.generate(embedding)
    elif tune == "lambda":
        raise ConfigError(
            f"--tune lambda: the {model.spec.source.kind} adapters of this checkpoint come from no "
            "λ; use --tune adapter"
        )
    else:
        weights = source([language])
    adapter = Static(source.shape)
    if start != "random":
        _fill(adapter, weights)
    return adapter


def _embedding(
    source: MadG | TwoStage, trained: Sequence[str], language: str, start: Start
) -> Tensor:
    if start == "generated":
        return source.embedding([language])
    embeddings = source.embedding(trained)
    mean = embeddings.mean(0, keepdim=True)
    if start == "static":
        return mean
    return mean + embeddings.std(0, correction=0, keepdim=True) * torch.randn_like(mean)


def _fill(adapter: Static, weights: AdapterWeights) -> None:
    for name, tensor in weights.tensors.items():
        getattr(adapter, name).data.copy_(tensor[0])
