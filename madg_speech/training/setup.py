"""The parts of a run that depend on its objective: the model, its batches, its loss and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.backbones.base import Backbone
from madg_speech.backbones.mel import PaddedLogMel
from madg_speech.checkpoint import ModelConfig, part_of, read_model_config, read_weights
from madg_speech.config.objectives import BestRqConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.augment import Augmenter
from madg_speech.data.collate import Collator, TeacherCollator
from madg_speech.data.corpus import Corpus, Spelling
from madg_speech.data.masked import ContrastiveCollator, Masks, PredictionCollator
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.objectives.masked_prediction import MaskedPrediction, prediction_loss
from madg_speech.objectives.scores import masked_scores
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.training.objective import CTC, PHONE_CTC, Objective
from madg_speech.training.run import fill_views
from madg_speech.training.shared_typology import take_typology
from madg_speech.typologies import settle_permutation

_NO_LABELS = ("best-rq", "contrastive")
BEST_RQ = Objective(prediction_loss, masked_scores, "loss")


def build_spelling(config: PretrainConfig, backbone: Backbone) -> Spelling | None:
    """What texts are labelled with; None where the objective needs no text.

    Raises:
        ConfigError, BackboneError: seq2seq, and the backbone has no decoder with tokens.
    """
    if config.objective in _NO_LABELS:
        return None
    if config.objective == "seq2seq":
        from madg_speech.decoding.whisper_decoder import tokens_of

        return tokens_of(backbone, config.backbone.revision)
    return Vocabulary.of_kind(config.vocabulary)


def build_model(
    config: PretrainConfig,
    backbone: Backbone,
    spelling: Spelling | None,
    languages: Sequence[str],
    scored: Sequence[str] = (),
) -> AdaptedEncoder:
    """The model to train on ``languages`` and score on others, with what ``init_from`` gives it.

    Raises:
        ConfigError, CheckpointError, BackboneError: parts that do not fit together.
    """
    settled = settle_permutation(config.source.typology, [*languages, *scored])
    asked = config.source.model_copy(update={"typology": settled})
    described = ModelConfig(
        backbone=config.backbone,
        hidden_size=backbone.hidden_size,
        layers=len(backbone.layers),
        source=asked,
        objective=config.objective,
        seq2seq=config.seq2seq if config.objective == "seq2seq" else None,
        languages=tuple(languages),
    )
    source = build_source(asked, backbone.hidden_size, len(backbone.layers), languages)
    model: AdaptedEncoder
    if config.objective == "best-rq":
        codes, size = config.best_rq.codes, config.best_rq.code_size
        model = MaskedPrediction(backbone, source, described, codes, size)
    elif config.objective == "contrastive":
        from madg_speech.objectives.contrastive import Contrastive

        model = Contrastive(backbone, source, described, config.contrastive)
    elif config.objective == "seq2seq":
        from madg_speech.objectives.seq2seq import Seq2Seq

        model = Seq2Seq(backbone, source, described, config.training.mask_time)
    else:
        assert isinstance(spelling, Vocabulary)
        model = AdaptedModel(backbone, source, spelling, described, config.training.mask_time)
    if config.init_from:
        start_from(model, Path(config.init_from))
    if config.init_typology_from:
        folder = Path(config.init_typology_from)
        take_typology(source, described, folder, config.freeze_typology)
    return model


def start_from(model: AdaptedEncoder, folder: Path) -> None:
    """Take adapters from a checkpoint, and its head where the objective is the same.

    A static source fills the static part of two-stage, or every row of per-language. The mean of the
    rows of per-language fills a static source, or that part of two-stage: rows that began at one adapter
    lie near enough to be averaged (Wortsman et al. 2022, arXiv 2203.05482). Of a joint checkpoint it is
    the part of the model's own medium.

    Raises:
        CheckpointError: its source is of no kind that this one can begin with.
    """
    folder = part_of(folder, "text" if model.spec.objective == "mlm" else "speech")
    before, own = read_model_config(folder), model.spec
    kind, own_kind = before.source.kind, own.source.kind
    state = read_weights(folder)
    adapters = {name: value for name, value in state.items() if name.startswith("source.")}
    rest = {name: value for name, value in state.items() if name not in adapters}
    if kind == "per-language" and own_kind in ("static", "two-stage"):
        kind, adapters = "static", {name: value.mean(0) for name, value in adapters.items()}
    if (kind, own_kind) == ("static", "two-stage"):
        adapters = {name.replace("source.", "source.static."): v for name, v in adapters.items()}
    elif (kind, own_kind) == ("static", "per-language"):
        rows = len(own.languages)
        adapters = {name: value.expand(rows, *value.shape) for name, value in adapters.items()}
    elif kind != own_kind:
        raise CheckpointError(f"init_from: {folder} has a {kind} source, this run a {own_kind} one")
    state = adapters | (rest if before.objective == own.objective else {})
    model.load_trainable_state(model.trainable_state() | state, str(folder))


def build_objective(config: PretrainConfig) -> Objective:
    """What the trainer minimises and scores by."""
    if config.objective == "ctc":
        return PHONE_CTC if config.vocabulary == "phones" else CTC
    if config.objective == "best-rq":
        return BEST_RQ
    if config.objective == "seq2seq":
        from madg_speech.objectives.seq2seq import seq2seq_loss, seq2seq_scores

        return Objective(seq2seq_loss, seq2seq_scores, "token_loss")
    from madg_speech.objectives.contrastive import contrastive_loss

    return Objective(contrastive_loss, masked_scores, "loss")


def build_collator(
    config: PretrainConfig, model: AdaptedEncoder, train: Corpus, cache: PrefixCache | None
) -> Any:
    """What makes batches of rows; augmented views of the cache are filled."""
    training, front_end = config.training, model.backbone.front_end
    if isinstance(model, MaskedPrediction):
        return prediction_collator(model, config.best_rq, cache, training.seed)
    if config.objective == "contrastive":
        asked = config.contrastive
        masks = Masks(asked.mask_share, asked.mask_span, training.seed)
        return ContrastiveCollator(front_end, masks, asked.negatives)
    if isinstance(front_end, PaddedLogMel):
        return TeacherCollator(front_end, cache)
    return Collator(
        front_end,
        cache,
        Augmenter(training.augment, training.seed) if training.augment.asked else None,
        fill_views(model, train, training),
    )


def check_cached_masks(model: AdaptedEncoder) -> None:
    """ConfigError where cached states cannot be masked for BEST-RQ."""
    remedy = "training.cache_prefix: false"
    if not model.backbone.front_end.spectral:
        raise ConfigError(
            f"objective best-rq masks {model.backbone.name} below its layers, where frames get their "
            f"places, so nothing can be cached: set {remedy}"
        )
    if model.prefix_layers == len(model.backbone.layers):
        raise ConfigError(
            "objective best-rq masks the cached states, and no layer above them could fill the gaps: "
            f"adapt a lower layer too (source.layers) or set {remedy}"
        )


def prediction_collator(
    model: MaskedPrediction, asked: BestRqConfig, cache: PrefixCache | None, seed: int
) -> PredictionCollator:
    """Batches for BEST-RQ, with the model's own codes."""
    masks = Masks(asked.mask_share, asked.mask_span, seed)
    return PredictionCollator(model.backbone.front_end, model.quantizer(), masks, cache)
