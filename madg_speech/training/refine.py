"""MAD-G-ft of speech: from a generated adapter (or its λ alone) to one tuned on minutes of a language.

The backbone, the head and, for λ, the generator stay frozen. Output: ``adapter.safetensors`` with
the weights of one language, ``adapter.json`` with what they came from and what they gained (written
last: where it is, the refinement is finished), and the run folder ``run``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from accelerate import PartialState
from pydantic import Field
from transformers import set_seed

from madg_speech.adapted_encoder import AdaptedEncoder, load_encoder
from madg_speech.checkpoint import checkpoint_folder, read_model_config, read_weights
from madg_speech.config.objectives import BestRqConfig
from madg_speech.config.training import TrainingConfig
from madg_speech.data.collate import Collator
from madg_speech.model import AdaptedModel
from madg_speech.objectives.masked_prediction import MaskedPrediction
from madg_speech.sources import build_source
from madg_speech.training.minutes import load_minutes
from madg_speech.training.objective import CTC, PHONE_CTC
from madg_speech.training.refinement import Refined, RefinementConfig, read_refined, tune
from madg_speech.training.run import (
    batch_plan,
    describe_run,
    fill_prefix_cache,
    open_run,
    training_arguments,
)
from madg_speech.training.setup import BEST_RQ, prediction_collator
from madg_speech.training.speech_trainer import SpeechTrainer
from madg_speech.training.starts import choose_start, starting_source


class RefineConfig(RefinementConfig):
    """A whole `madg-speech refine` run on speech."""

    manifests: tuple[str, ...] = Field(min_length=1, description="Transcribed audio to learn from.")
    objective: Literal["ctc", "best-rq"] = Field("ctc", description="best-rq needs no text.")
    best_rq: BestRqConfig = BestRqConfig()


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
    run = output / "run"
    checkpoint = open_run(run, config, resume)
    if finished := read_refined(output):
        return finished
    set_seed(config.seed)
    model = _load(config)
    objective = BEST_RQ
    if model.vocabulary is not None:
        objective = PHONE_CTC if model.vocabulary.kind == "phones" else CTC
    language, start = choose_start(config, model)
    train, dev = load_minutes(
        config.manifests, config.dev, language, model.vocabulary, model.backbone
    )
    model.source = starting_source(model, language, config.tune, start)
    # Batches of 45 s and a score every 25 steps suit one minute as well as sixty.
    training = TrainingConfig(**config.schedule(eval_every=25))
    if isinstance(model, MaskedPrediction) and not model.backbone.front_end.spectral:
        training = training.model_copy(update={"cache_prefix": False})  # masked below its layers
    if isinstance(model, AdaptedModel):
        model.head.requires_grad_(False)
        model.mask_time = training.mask_time
    describe_run(run, config, {"train": train, "dev": dev})
    cache = fill_prefix_cache(model, [train, dev], training)
    arguments = training_arguments(
        training,
        run,
        device,
        cache is not None,
        True,
        objective.metric,
        training.gradient_accumulation,
    )
    trainer = SpeechTrainer(
        model,
        arguments,
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
    minutes = round(sum(train.table["seconds"]) / 60, 2)
    facts = {"minutes": minutes, "objective": config.objective}
    return tune(trainer, config, language, start, output, checkpoint, facts)


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
