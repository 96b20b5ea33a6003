"""A pretraining run: configuration in, run folder and checkpoint out."""

from __future__ import annotations

from pathlib import Path

from accelerate import PartialState
from transformers import set_seed

from madg_speech.backbones import load_backbone
from madg_speech.backbones.base import Backbone, FrontEnd
from madg_speech.config import PretrainConfig
from madg_speech.data.augment import Augmenter
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import Corpus, find_manifests, load_corpus
from madg_speech.errors import CheckpointError, ConfigError, DataError
from madg_speech.model import AdaptedModel, ModelConfig, read_model_config, read_weights
from madg_speech.sources import build_source
from madg_speech.splits import training_group
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.training.card import training_card
from madg_speech.training.progress import say
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    fill_views,
    open_run,
    training_arguments,
)
from madg_speech.training.trainer import SpeechTrainer, dev_error_rates
from madg_speech.typologies import settle_permutation


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
    vocabulary = Vocabulary.romanized()
    backbone = load_backbone(config.backbone.name, config.backbone.revision)
    if training.augment.spec_augment and not backbone.front_end.spectral:
        raise ConfigError(
            f"training.augment.spec_augment masks mel bins; {backbone.name} hears waveforms: leave it "
            "out (training.mask_time masks hidden frames of any backbone)"
        )
    train, dev = _load_corpora(config, data_root, vocabulary, backbone.front_end)
    corpora = {"train": train} | ({"dev": dev} if dev else {})
    scored = dev.languages if dev else []
    model = _build_model(config, backbone, vocabulary, train.languages, scored)
    describe_run(run, config, corpora)
    cache = fill_prefix_cache(model, list(corpora.values()), training)
    trainer = SpeechTrainer(
        model,
        training_arguments(training, run, device, cache is not None, dev is not None),
        batch_plan(training, train),
        train,
        dev,
        Collator(
            model.backbone.front_end,
            cache,
            Augmenter(training.augment, training.seed) if training.augment.asked else None,
            fill_views(model, train, training),
        ),
        {name: training_group(name, train.languages) for name in scored},
        training.patience,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    finished = run / "checkpoint"
    if trainer.is_world_process_zero():
        rates = dev_error_rates(model, dev.table, trainer.data_collator) if dev else {}
        model.spec = model.spec.model_copy(
            update={"expected_cer": _by_group(rates, trainer.groups)}
        )
        model.save_pretrained(finished, training_card(model.spec, config, train, rates))
    return finished


def _load_corpora(
    config: PretrainConfig, root: Path, vocabulary: Vocabulary, front_end: FrontEnd
) -> tuple[Corpus, Corpus | None]:
    train = load_corpus(find_manifests(config.data.train, root), config.data, vocabulary, front_end)
    say(f"train: {train.summary()}")
    if not config.data.dev:
        return train, None
    # Languages held out of training are what a dev set is for: exclusions apply to training alone.
    rules = config.data.model_copy(update={"exclude_languages": (), "exclude_licenses": ()})
    dev = load_corpus(find_manifests(config.data.dev, root), rules, vocabulary, front_end)
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


def _build_model(
    config: PretrainConfig,
    backbone: Backbone,
    vocabulary: Vocabulary,
    languages: list[str],
    scored: list[str],
) -> AdaptedModel:
    settled = settle_permutation(config.source.typology, [*languages, *scored])
    described = config.source.model_copy(update={"typology": settled})
    source = build_source(described, backbone.hidden_size, len(backbone.layers), languages)
    spec = ModelConfig(
        backbone=config.backbone,
        hidden_size=backbone.hidden_size,
        layers=len(backbone.layers),
        source=described,
        languages=tuple(languages),
    )
    model = AdaptedModel(backbone, source, vocabulary, spec, config.training.mask_time)
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


def _by_group(rates: dict[str, float], groups: dict[str, str]) -> dict[str, float]:
    members: dict[str, list[float]] = {}
    for language, rate in rates.items():
        members.setdefault(groups[language], []).append(rate)
    return {group: round(sum(values) / len(values), 4) for group, values in members.items()}
