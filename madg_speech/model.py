"""A frozen encoder and a source of adapter weights; with a CTC head it is an AdaptedModel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from madg_speech.adapters import ActiveAdapters, AdapterWeights
from madg_speech.backbones import load_backbone
from madg_speech.backbones.base import Backbone, Encoder
from madg_speech.cache import atomic_path
from madg_speech.config import BackboneConfig, Section, SourceConfig
from madg_speech.errors import CheckpointError
from madg_speech.injection import Injection
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary

WEIGHTS, CONFIG, VOCABULARY, CARD = "model.safetensors", "config.json", "vocab.json", "README.md"
DEFAULT = Path(__file__).parent / "checkpoints" / "default"


class ModelConfig(Section):
    """What ``config.json`` of a checkpoint says; the backbone is named, not copied."""

    format: int = 1
    objective: Literal["ctc", "mlm"] = Field("ctc", description="What the head was trained to do.")
    backbone: BackboneConfig
    hidden_size: int
    layers: int
    source: SourceConfig
    languages: tuple[str, ...] = Field((), description="ISO 639-3 codes trained on.")
    expected_cer: dict[str, float] = Field(
        default_factory=dict, description="Measured CER per group: trained, clade, unrelated."
    )


class AdaptedEncoder(nn.Module):
    """A frozen encoder with adapters from ``source`` in some of its layers: what all models share.

    Args:
        backbone: frozen encoder.
        source: where adapter weights come from; None for no adapters at all.
        config: what is written to ``config.json``.
    """

    backbone: Encoder

    def __init__(self, backbone: Encoder, source: Any, config: ModelConfig):
        super().__init__()
        self.backbone = backbone
        self.source = source
        self.spec = config
        adapted = source.shape.layers if source is not None else ()
        self.injection = Injection(backbone.placements, range(len(backbone.layers)))
        # Everything below the first adapter is a fixed function of the input: it can be cached.
        self.prefix_layers = min(adapted, default=len(backbone.layers))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def prefix(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frozen layers below the first adapter: hidden [B, T, H] and lengths along T."""
        with torch.no_grad():
            hidden, frames = self.backbone.embed(inputs, lengths)
            return self.backbone.run_layers(hidden, frames, stop=self.prefix_layers), frames

    def adapters_for(
        self, languages: Sequence[str | None], adapter: AdapterWeights | None = None
    ) -> ActiveAdapters | None:
        """Adapters of a batch: generated once per distinct language (or given), indexed by row."""
        unique = sorted({language for language in languages if language is not None})
        if not unique or (self.source is None and adapter is None):
            return None
        weights = self.source(unique) if adapter is None else adapter
        place = {language: i if adapter is None else 0 for i, language in enumerate(unique)}
        return ActiveAdapters.select(
            weights, [-1 if language is None else place[language] for language in languages]
        )

    def trainable_state(self) -> dict[str, Tensor]:
        """Everything but the backbone: the source and the head."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if not name.startswith("backbone.")}

    def load_trainable_state(self, state: dict[str, Tensor], origin: str) -> None:
        """Load what :meth:`trainable_state` returned; CheckpointError if a tensor does not fit."""
        own = {name: value.shape for name, value in self.trainable_state().items()}
        given = {name: value.shape for name, value in state.items()}
        wrong = sorted(
            name for name in own.keys() | given.keys() if own.get(name) != given.get(name)
        )
        if wrong:
            raise CheckpointError(
                f"{origin}: {len(wrong)} tensors do not fit, first {wrong[0]}: "
                f"{given.get(wrong[0])} in the file, {own.get(wrong[0])} in the model"
            )
        self.load_state_dict(state, strict=False)

    def save_pretrained(
        self, folder: Path | str, card: str = "", dtype: torch.dtype | None = None
    ) -> None:
        """Write config.json, model.safetensors, README.md and what the head needs, whole or not at all.

        Args:
            folder: replaced if it exists.
            card: text of the model card.
            dtype: of the stored weights, e.g. float16; as they are when left out.
        """
        state = {
            name: value.detach()
            .to("cpu", dtype if value.is_floating_point() else None)
            .contiguous()
            for name, value in self.trainable_state().items()
        }
        with atomic_path(Path(folder)) as draft:
            draft.mkdir()
            save_file(state, draft / WEIGHTS)
            (draft / CONFIG).write_text(self.spec.model_dump_json(indent=2) + "\n")
            (draft / CARD).write_text(card)
            self._save_more(draft)

    def _save_more(self, folder: Path) -> None:
        """Files that this kind of model has beside those of all."""


class AdaptedModel(AdaptedEncoder):
    """A frozen backbone with adapters from ``source`` in its upper layers, and a linear CTC head.

    Args:
        backbone: frozen encoder.
        source: where adapter weights come from; None for no adapters at all.
        vocabulary: output symbols; index 0 is the blank.
        config: what is written to ``config.json``.
        mask_time: share of frames set to zero below the first adapter while training.
    """

    backbone: Backbone

    def __init__(
        self,
        backbone: Backbone,
        source: Any,
        vocabulary: Vocabulary,
        config: ModelConfig,
        mask_time: float = 0.0,
    ):
        super().__init__(backbone, source, config)
        self.head = nn.Linear(backbone.hidden_size, vocabulary.size)
        self.vocabulary = vocabulary
        self.mask_time = mask_time

    def forward(
        self,
        lengths: Tensor,
        languages: Sequence[str | None],
        features: Tensor | None = None,
        hidden: Tensor | None = None,
        adapter: AdapterWeights | None = None,
    ) -> dict[str, Tensor]:
        """CTC logits of a batch whose rows may be of different languages.

        Args:
            lengths: [B], along ``features`` or, with ``hidden``, in encoder frames.
            languages: ISO 639-3 code per row; None for no adapter.
            features: the front end's inputs, log-mel [B, mel, T] or waveforms [B, T]; or
            hidden: [B, T, H], what :meth:`prefix` returned (a cached prefix).
            adapter: weights of one language, used in place of the source's in every row that names
                a language.

        Returns:
            logits [B, T, V] and lengths [B] in encoder frames.
        """
        if hidden is None:
            assert features is not None
            hidden, lengths = self.prefix(features, lengths)
        if self.training and self.mask_time:
            hidden = mask_spans(hidden, lengths, self.mask_time)
        with self.injection.use(self.adapters_for(languages, adapter)):
            hidden = self.backbone.run_layers(hidden, lengths, start=self.prefix_layers)
        return {"logits": self.head(self.backbone.finish(hidden)), "lengths": lengths}

    @torch.inference_mode()
    def log_probs(
        self,
        waveforms: Sequence[np.ndarray],
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> tuple[Tensor, Tensor]:
        """CTC log probabilities [B, T, V] (float32) of 16 kHz waveforms, and frame counts [B]."""
        features, lengths = self.backbone.features(waveforms)
        output = self(lengths, languages, features=features, adapter=adapter)
        return output["logits"].float().log_softmax(-1), output["lengths"]

    def _save_more(self, folder: Path) -> None:
        self.vocabulary.save(folder / VOCABULARY)

    @classmethod
    def from_pretrained(cls, folder: Path | str, backbone: str | None = None) -> AdaptedModel:
        """Load a checkpoint and the backbone it names (or ``backbone``, a folder or hub id).

        Raises:
            CheckpointError: a file is missing or broken, or the backbone has another shape.
            BackboneError: the backbone cannot be found.
        """
        folder = Path(folder)
        config = read_model_config(folder)
        if config.objective != "ctc":
            raise CheckpointError(
                f"{folder} is a model of text ({config.objective}); expected one of speech"
            )
        chosen = backbone or config.backbone.name
        encoder = load_backbone(chosen, None if backbone else config.backbone.revision)
        source = source_for(config, encoder, folder, chosen)
        model = cls(encoder, source, Vocabulary.load(folder / VOCABULARY), config)
        model.load_trainable_state(read_weights(folder), str(folder))
        return model.eval()


def source_for(config: ModelConfig, encoder: Encoder, folder: Path, name: str) -> Any:
    """The weight source that a checkpoint describes, or None; CheckpointError if ``encoder`` differs."""
    if (encoder.hidden_size, len(encoder.layers)) != (config.hidden_size, config.layers):
        raise CheckpointError(
            f"{folder} was made for {config.backbone.name} ({config.layers} layers of "
            f"{config.hidden_size}); {name} has {len(encoder.layers)} of {encoder.hidden_size}"
        )
    return build_source(config.source, config.hidden_size, config.layers, config.languages)


def checkpoint_folder(name: Path | str) -> Path:
    """The folder of a checkpoint: ``default`` is the one that the package carries.

    Raises:
        CheckpointError: this build carries no default checkpoint.
    """
    if str(name) != "default":
        return Path(name)
    if not (DEFAULT / CONFIG).is_file():
        raise CheckpointError(
            "this build of madg-speech carries no default checkpoint: train one with `madg-speech "
            "pretrain` and give its folder (--checkpoint FOLDER)"
        )
    return DEFAULT


def read_model_config(folder: Path) -> ModelConfig:
    """Read a checkpoint's ``config.json`` without loading any weight; CheckpointError if it cannot be."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG}")
    try:
        return ModelConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The stored tensors, numbers in float32; CheckpointError if the file is missing or broken."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {WEIGHTS}")
    try:
        stored = load_file(path)
        return {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from None


def mask_spans(hidden: Tensor, lengths: Tensor, share: float, span: int = 10) -> Tensor:
    """Set spans of frames to zero so that about ``share`` of each row is masked (SpecAugment's time
    masks, arXiv 1904.08779, on hidden states).

    Args:
        hidden: [B, T, H].
        lengths: [B] true frames.
        share: expected share of masked frames, below 1.
        span: frames in a span (10 are 0.2 s).
    """
    frames = hidden.shape[1]
    starts = torch.rand(hidden.shape[:2], device=hidden.device) < share / span
    spans = starts.float()[:, None]
    masked = nn.functional.max_pool1d(nn.functional.pad(spans, (span - 1, 0)), span, 1)[:, 0] > 0
    inside = torch.arange(frames, device=hidden.device)[None] < lengths[:, None].to(hidden.device)
    return hidden.masked_fill((masked & inside)[..., None], 0.0)
