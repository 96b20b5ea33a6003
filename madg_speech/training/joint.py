"""A run on speech and text with one V (``objective: joint``): configuration in, joint checkpoint out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from transformers import set_seed

from madg_speech.checkpoint import Medium, part_of, read_model_config
from madg_speech.config.joint import GENERATORS, JointConfig, SpeechPart, TextPart
from madg_speech.config.source import TypologyConfig
from madg_speech.data.corpus import Corpus
from madg_speech.data.media import alternate
from madg_speech.data.text_corpus import TextCorpus
from madg_speech.errors import ConfigError
from madg_speech.joint_model import JointModel
from madg_speech.model import AdaptedModel
from madg_speech.splits import training_group
from madg_speech.text_model import TextModel
from madg_speech.training import mlm, pretrain, setup
from madg_speech.training.card import training_card
from madg_speech.training.joint_trainer import JointTrainer, Part
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    open_run,
    training_arguments,
)
from madg_speech.training.shared_typology import TENSORS, take_typology
from madg_speech.typologies import settle_permutation

DECIDED = (
    "warmup_steps",
    "clip",
    "seed",
    "eval_every",
    "mixed_precision",
    "gradient_accumulation",
    "patience",
)
"""What the run's training section says for both media; its steps are shared out between them."""
AnyPart = TypeVar("AnyPart", SpeechPart, TextPart)


def pretrain_joint(
    config: JointConfig, data_root: Path, device: str | None = None, resume: bool = False
) -> Path:
    """Train both media's sources and heads; returns the folder of the finished checkpoint.

    Args:
        config: the resolved configuration.
        data_root: where relative paths of manifests and text files start.
        device: ``cpu``, ``cuda`` ...; what Accelerate finds when None.
        resume: go on from the last complete checkpoint in the run folder.

    Raises:
        ConfigError: the run folder holds another run, there is nothing to resume, or what the two
            media start from holds two maps V.
        ManifestError, DataError, BackboneError, CheckpointError: as their names say.
    """
    PartialState(cpu=device == "cpu")
    training = config.training
    run = Path(config.output)
    checkpoint = open_run(run, config, resume)
    set_seed(training.seed)
    media = alternate(training.steps, training.text_share)
    encoder, vocabulary, heard, heard_dev = pretrain.read_speech(config.speech, data_root)
    with torch.random.fork_rng(devices=[]):  # a speech source is drawn as it is without text
        text_encoder, read, read_dev = mlm.read_texts(config.text, data_root)
    corpora: dict[str, Corpus | None] = {
        "speech train": heard,
        "speech dev": heard_dev,
        "text train": read,
        "text dev": read_dev,
    }
    present = {split: corpus for split, corpus in corpora.items() if corpus}
    typology = _settle_typology(config, [heard, read], list(present.values()))
    speech = _settle(config.speech, config, typology, media.count("speech"))
    text = _settle(config.text, config, typology, media.count("text"))
    spoken = setup.build_model(speech, encoder, vocabulary, heard.languages)
    assert isinstance(spoken, AdaptedModel)
    texts = {"train": read} | ({"dev": read_dev} if read_dev else {})
    written = mlm.build_model(text, text_encoder, texts, [])
    _choose_map(config, spoken, written)
    model = JointModel(spoken, written)
    describe_run(run, config, present)
    cache = fill_prefix_cache(spoken, [heard, *([heard_dev] if heard_dev else [])], speech.training)
    plan = mlm.batch_plan(text.training, text.training.pieces_per_batch, read)
    parts: dict[Medium, Part] = {
        "speech": Part(
            speech.training,
            setup.build_objective(speech),
            batch_plan(speech.training, heard),
            heard,
            heard_dev,
            setup.build_collator(speech, spoken, heard, cache),
            _groups(heard, heard_dev),
        ),
        "text": Part(
            text.training,
            mlm.MLM,
            plan,
            read,
            read_dev,
            mlm.build_collator(text, written, plan, read, read_dev),
            _groups(read, read_dev),
        ),
    }
    batches_a_step = training.gradient_accumulation * PartialState().num_processes
    decisive = parts["speech" if heard_dev else "text"].objective.metric
    trainer = JointTrainer(
        model,
        training_arguments(
            training,
            run,
            device,
            cache is not None,
            bool(heard_dev or read_dev),
            decisive,
            training.gradient_accumulation,
        ),
        parts,
        [medium for medium in media for _ in range(batches_a_step)],
        decisive,
        training.patience,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    finished = run / "checkpoint"
    if trainer.is_world_process_zero():
        _save(model, finished, speech, text, parts)
    return finished


def _settle_typology(
    config: JointConfig, trained: Sequence[Corpus], all_corpora: Sequence[Corpus]
) -> TypologyConfig:
    """One for both media: permuted over all languages of either, centred on all trained ones.

    There is one λ only if there is one mean vector t̄. That of the union is where V is learned; a
    medium's static part is best at its own languages' mean, from which the generated part, zero at
    the start, takes it no further than the loss asks for.
    """
    asked, other = config.speech.source.typology, config.text.source.typology
    named = tuple(sorted({*asked.languages, *other.languages}))
    settled = settle_permutation(
        asked.model_copy(update={"languages": named}),
        {language for corpus in all_corpora for language in corpus.languages},
    )
    union = tuple(sorted({language for corpus in trained for language in corpus.languages}))
    return settled.model_copy(update={"reference": asked.reference or union})


def _settle(part: AnyPart, config: JointConfig, typology: TypologyConfig, steps: int) -> AnyPart:
    """The configuration of one medium with all that the whole run decides."""
    decided = {name: getattr(config.training, name) for name in DECIDED} | {"steps": steps}
    return part.model_copy(
        update={
            "training": part.training.model_copy(update=decided),
            "source": part.source.model_copy(update={"typology": typology}),
        }
    )


def _choose_map(config: JointConfig, speech: AdaptedModel, text: TextModel) -> None:
    """Give the speech source the V, and mean vector, that both begin with.

    Raises:
        ConfigError: both start from checkpoints with a V, and these are two.
    """
    if config.init_typology_from:
        folder = Path(config.init_typology_from)
        take_typology(speech.source, speech.spec, folder, config.freeze_typology)
        return
    spoken = _start_with_map(config.speech.init_from, "speech")
    written = _start_with_map(config.text.init_from, "text")
    if written and not spoken:
        take_typology(speech.source, speech.spec, written, freeze=False)
    elif written and spoken:
        states = speech.source.state_dict(), text.source.state_dict()
        if not all(
            torch.equal(*(s[name] for s in states)) for name in TENSORS if name in states[0]
        ):
            raise ConfigError(
                f"speech.init_from {spoken} and text.init_from {written} hold two different maps V, and "
                "both media are to share one: start both from static checkpoints or from the same joint "
                "one, or name the checkpoint whose V counts as init_typology_from"
            )


def _start_with_map(init_from: str | None, medium: Medium) -> Path | None:
    folder = part_of(Path(init_from), medium) if init_from else None
    return folder if folder and read_model_config(folder).source.kind in GENERATORS else None


def _groups(train: Corpus, dev: Corpus | None) -> dict[str, str]:
    scored = dev.languages if dev else []
    return {name: training_group(name, train.languages) for name in scored}


def _save(
    model: JointModel,
    folder: Path,
    speech: SpeechPart,
    text: TextPart,
    parts: dict[Medium, Part],
) -> None:
    heard, read = parts["speech"], parts["text"]
    cer, loss = heard.scores(model.speech), read.scores(model.text)
    model.speech.spec = pretrain.expecting(model.speech.spec, cer, heard.groups)
    shared = (
        f"\nTrained together: {speech.training.steps} steps of speech and {text.training.steps} of text, "
        "with one map from typological vectors to λ.\n"
    )
    assert isinstance(read.train, TextCorpus)
    model.save_pretrained(
        folder,
        f"# Adapters for speech and text that share one V\n{shared}\n"
        "`speech/` and `text/` are whole checkpoints, each with its own card; every command takes "
        "either, or this folder for the one that it is about.\n",
        {
            "speech": training_card(model.speech.spec, speech, heard.train, cer) + shared,
            "text": mlm.text_card(model.text.spec, text, read.train, loss, read.groups) + shared,
        },
    )
