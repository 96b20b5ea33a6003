"""A pretraining run on text (``objective: mlm``): configuration in, run folder and checkpoint out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from transformers import set_seed

from madg_speech.backbones import load_text_backbone
from madg_speech.backbones.text import TextBackbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.text import MlmConfig
from madg_speech.config.training import OptimisationConfig
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import find_manifests
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.data.text_batches import MaskedTextCollator
from madg_speech.data.text_corpus import TextCorpus, load_texts
from madg_speech.data.text_prefix import TextPrefix, Window
from madg_speech.objectives.mlm import mlm_loss, mlm_scores
from madg_speech.sources import build_source
from madg_speech.splits import training_group
from madg_speech.text_model import MaskedTokenHead, TextModel
from madg_speech.training.objective import Objective
from madg_speech.training.progress import say
from madg_speech.training.run import describe_run, open_run, training_arguments
from madg_speech.training.setup import start_from
from madg_speech.training.shared_typology import take_typology
from madg_speech.training.speech_trainer import SpeechTrainer
from madg_speech.typologies import settle_permutation


def _pieces(inputs: dict[str, Any], collator: Any) -> torch.Tensor:
    pieces: torch.Tensor = inputs["lengths"].sum()
    return pieces


MLM = Objective(mlm_loss, mlm_scores, "loss", _pieces, "pieces_per_second")


def pretrain_text(
    config: MlmConfig, data_root: Path, device: str | None = None, resume: bool = False
) -> Path:
    """Train source and masked-token head; returns the folder of the finished checkpoint.

    Args:
        config: the resolved configuration.
        data_root: where relative paths of text files start.
        device: ``cpu``, ``cuda`` ...; what Accelerate finds when None.
        resume: go on from the last complete checkpoint in the run folder.

    Raises:
        ConfigError: the run folder holds another run, or there is nothing to resume.
        BackboneError: no such model, or a tokenizer without a mask token.
        DataError, ManifestError, CheckpointError: as their names say.
    """
    PartialState(cpu=device == "cpu")
    training = config.training
    run = Path(config.output)
    checkpoint = open_run(run, config, resume)
    set_seed(training.seed)
    backbone, train, dev = read_texts(config, data_root)
    corpora = {"train": train} | ({"dev": dev} if dev else {})
    scored = dev.languages if dev else []
    model = build_model(config, backbone, corpora, scored)
    describe_run(run, config, corpora)
    plan = batch_plan(training, training.pieces_per_batch, train)
    trainer = SpeechTrainer(
        model,
        training_arguments(
            training,
            run,
            device,
            False,
            dev is not None,
            MLM.metric,
            training.gradient_accumulation,
        ),
        plan,
        train,
        dev,
        build_collator(config, model, plan, train, dev),
        {name: training_group(name, train.languages) for name in scored},
        training.patience,
        training.generator_weight_decay,
        MLM,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    finished = run / "checkpoint"
    if trainer.is_world_process_zero():
        scores = mlm_scores(model, dev.table, trainer.data_collator) if dev else {}
        model.save_pretrained(
            finished, text_card(model.spec, config, train, scores, trainer.groups)
        )
    return finished


def read_texts(
    config: MlmConfig, data_root: Path
) -> tuple[TextBackbone, TextCorpus, TextCorpus | None]:
    """The backbone, and the texts to train on and to score as pieces of its tokenizer."""
    named = config.backbone
    backbone = load_text_backbone(named.name, named.revision, named.layers)
    _ = backbone.tokenizer.mask  # raises, if at all, before minutes of reading
    files = find_manifests(config.data.text, data_root)
    train, dev = load_texts(files, config.data, backbone.tokenizer, say)
    say(f"train: {train.summary()}")
    if dev:
        say(f"dev: {dev.summary()}")
    return backbone, train, dev


def build_collator(
    config: MlmConfig,
    model: TextModel,
    plan: BatchPlan,
    train: TextCorpus,
    dev: TextCorpus | None,
) -> MaskedTextCollator:
    """What makes batches of rows; views to be cached are filled."""
    assert model.head is not None
    training, tokenizer = config.training, model.backbone.tokenizer
    collator = MaskedTextCollator(
        model.head.tokens.numpy(force=True),
        tokenizer.mask,
        tokenizer.pad,
        training.mask_share,
        # Views do not depend on the run's seed: runs with several seeds share them.
        0 if training.cached_views else training.seed,
        training.cached_views,
    )
    if training.cached_views and model.prefix_layers:
        cache_views(
            model, collator, training.cached_views, plan, train, dev, training.cache_limit_gb
        )
    return collator


def batch_plan(training: OptimisationConfig, pieces: int, corpus: TextCorpus) -> BatchPlan:
    """The batches of the whole run over all processes, ``pieces`` long with their padding."""
    return BatchPlan(
        corpus.table["length"],
        corpus.table["lang"],
        training.steps * training.gradient_accumulation * PartialState().num_processes,
        pieces,
        training.smoothing,
        training.languages_per_batch,
        training.seed,
    )


def cache_views(
    model: TextModel,
    collator: MaskedTextCollator,
    views: int,
    plan: BatchPlan,
    train: TextCorpus,
    dev: TextCorpus | None,
    limit_gb: float,
) -> None:
    """Compute, once, the layers below the first adapter on all that the run will show the model.

    Raises:
        DataError: that would take more than ``limit_gb``, or than the disk has.
    """
    drawn = sorted({(row, times % views) for batch in Draws(plan) for row, times in batch})
    rows = DrawnRows(train.table)

    def windows() -> Iterator[Window]:
        for start in range(0, len(drawn), 1000):
            yield from (
                collator.hide(row)[0] for row in rows.__getitems__(drawn[start : start + 1000])
            )
        yield from (collator.hide(row)[0] for row in (dev.table if dev else ()))

    model.to(PartialState().device)
    remedy = "raise training.cache_limit_gb, or lower training.cached_views or leave it out"
    known = TextPrefix(model, model.prefix_layers, remedy)
    known.fill(model, windows(), limit_gb)
    model.known = known


def build_model(
    config: MlmConfig, backbone: TextBackbone, corpora: dict[str, TextCorpus], scored: list[str]
) -> TextModel:
    """The model to train, its head over the pieces that the texts hold.

    The head begins with the stored model's own where that has one; else its bias is the log share of
    each piece in the training text, so that the loss starts at the text's entropy.
    """
    languages = corpora["train"].languages
    settled = settle_permutation(config.source.typology, [*languages, *scored])
    described = config.source.model_copy(update={"typology": settled})
    source = build_source(described, backbone.hidden_size, len(backbone.layers), languages)
    spec = ModelConfig(
        objective="mlm",
        backbone=config.backbone,
        hidden_size=backbone.hidden_size,
        layers=len(backbone.layers),
        source=described,
        languages=tuple(languages),
    )
    size = backbone.word_embeddings.num_embeddings
    seen = corpora["train"].counts(size)
    often = seen >= config.data.min_count
    if config.data.min_count == 1:  # what only dev text has is asked for too
        often |= sum((corpus.counts(size) for corpus in corpora.values()), np.zeros_like(seen)) > 0
    tokens = np.flatnonzero(often)
    head = MaskedTokenHead(backbone.word_embeddings, torch.from_numpy(tokens))
    if backbone.head_start:
        start = backbone.head_start | {"bias": backbone.head_start["bias"][head.tokens]}
        head.load_state_dict(start | {"tokens": head.tokens})
    else:
        smoothed = torch.from_numpy(seen[tokens] + 0.5).float()
        head.bias.data.copy_((smoothed / smoothed.sum()).log())
    model = TextModel(backbone, source, spec, head)
    if config.init_from:
        start_from(model, Path(config.init_from))
    if config.init_typology_from:
        take_typology(source, spec, Path(config.init_typology_from), config.freeze_typology)
    return model


def text_card(
    model: ModelConfig,
    config: MlmConfig,
    train: TextCorpus,
    scores: dict[str, dict[str, float]],
    groups: dict[str, str],
) -> str:
    """The model card: languages, amounts and dev scores; nothing in it is assumed."""
    t = config.training
    lines = [
        f"# {model.source.kind} adapters for {model.backbone.name} ({model.layers} layers)",
        "",
        f"Masked language modelling over {len(model.languages)} languages, "
        f"{sum(train.table['length']) / 1e6:.2f} M pieces. Trained by madg-speech; the backbone is "
        "named in config.json, not copied.",
        "",
        f"{t.steps} steps of {t.pieces_per_batch * t.gradient_accumulation} pieces, learning rate "
        f"{t.learning_rate:g}, language smoothing {t.smoothing:g}, seed {t.seed}.",
        "",
        f"Languages: {' '.join(model.languages)}",
    ]
    if scores:
        lines += ["", "| dev language | group | nats a piece | perplexity | accuracy |"]
        lines += ["|---|---|---|---|---|"]
        for name in sorted(scores["loss"], key=lambda name: (groups[name], name)):
            cells = [f"{scores[m][name]:.3f}" for m in ("loss", "piece_perplexity", "accuracy")]
            lines.append(f"| {name} | {groups[name]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
