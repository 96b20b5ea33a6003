"""A pretraining run: configuration in, run folder and checkpoint out."""

from __future__ import annotations

from pathlib import Path

from accelerate import PartialState
from transformers import set_seed

from madg_speech.backbones import load_backbone
from madg_speech.backbones.base import Backbone, FrontEnd
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.corpus import Corpus, Spelling, find_manifests, load_corpus
from madg_speech.errors import ConfigError, DataError
from madg_speech.splits import training_group
from madg_speech.training.card import training_card
from madg_speech.training.objective import DevScores
from madg_speech.training.progress import say
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    open_run,
    shortest_row,
    training_arguments,
)
from madg_speech.training.setup import (
    build_collator,
    build_model,
    build_objective,
    build_spelling,
    check_cached_masks,
)
from madg_speech.training.shrinkage import fit_shrinkage
from madg_speech.training.speech_trainer import SpeechTrainer


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
    PartialState(cpu=device == "cpu")
    training = config.training
    run = Path(config.output)
    checkpoint = open_run(run, config, resume)
    set_seed(training.seed)
    backbone, spelling, train, dev = read_speech(config, data_root)
    corpora = {"train": train} | ({"dev": dev} if dev else {})
    scored = dev.languages if dev else []
    model = build_model(config, backbone, spelling, train.languages, scored)
    objective = build_objective(config)
    describe_run(run, config, corpora)
    if config.objective == "best-rq" and training.cache_prefix:
        check_cached_masks(model)
    cache = fill_prefix_cache(model, list(corpora.values()), training)
    trainer = SpeechTrainer(
        model,
        training_arguments(
            training,
            run,
            device,
            cache is not None,
            dev is not None,
            objective.metric,
            training.gradient_accumulation,
        ),
        batch_plan(training, train, shortest_row(model.backbone.front_end)),
        train,
        dev,
        build_collator(config, model, train, cache),
        {name: training_group(name, train.languages) for name in scored},
        training.patience,
        training.generator_weight_decay,
        objective,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    if dev and config.source.shrink.rule != "none":
        fit_shrinkage(model, dev.table, trainer.data_collator)
    finished = run / "checkpoint"
    if trainer.is_world_process_zero():
        scores = objective.scores(model, dev.table, trainer.data_collator) if dev else {}
        model.spec = expecting(model.spec, scores, trainer.groups)
        model.save_pretrained(finished, training_card(model.spec, config, train, scores))
    return finished


def read_speech(
    config: PretrainConfig, data_root: Path
) -> tuple[Backbone, Spelling | None, Corpus, Corpus | None]:
    """The backbone, what labels are written in, and the utterances to train on and to score."""
    backbone = load_backbone(config.backbone.name, config.backbone.revision)
    if config.training.augment.spec_augment and not backbone.front_end.spectral:
        raise ConfigError(
            f"training.augment.spec_augment masks mel bins; {backbone.name} hears waveforms: leave it "
            "out (training.mask_time masks hidden frames of any backbone)"
        )
    spelling = build_spelling(config, backbone)
    return backbone, spelling, *_load_corpora(config, data_root, spelling, backbone.front_end)


def _load_corpora(
    config: PretrainConfig, root: Path, spelling: Spelling | None, front_end: FrontEnd
) -> tuple[Corpus, Corpus | None]:
    train = load_corpus(find_manifests(config.data.train, root), config.data, spelling, front_end)
    say(f"train: {train.summary()}")
    if not config.data.dev:
        return train, None
    # Languages held out of training are what a dev set is for: exclusions apply to training alone.
    rules = config.data.model_copy(update={"exclude_languages": (), "exclude_licenses": ()})
    dev = load_corpus(find_manifests(config.data.dev, root), rules, spelling, front_end)
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
    say(f"dev: {dev.summary()}")
    return train, dev


def expecting(spec: ModelConfig, scores: DevScores, groups: dict[str, str]) -> ModelConfig:
    """``spec`` with the mean dev CER of each group, which warns who transcribes another language."""
    members: dict[str, list[float]] = {}
    for language, rate in scores.get("cer", {}).items():
        members.setdefault(groups[language], []).append(rate)
    expected = {group: round(sum(rates) / len(rates), 4) for group, rates in members.items()}
    return spec.model_copy(update={"expected_cer": expected})
