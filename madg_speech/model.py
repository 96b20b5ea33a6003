"""An adapted encoder with a CTC head: the model of speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from madg_speech.adapted_encoder import AdaptedEncoder, load_encoder
from madg_speech.adapters import AdapterWeights
from madg_speech.backbones.base import Backbone
from madg_speech.checkpoint import (
    VOCABULARY,
    ModelConfig,
    checkpoint_folder,
    read_card,
    read_model_config,
    read_weights,
)
from madg_speech.errors import CheckpointError
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary


class AdaptedModel(AdaptedEncoder):
    """An adapted encoder with a linear CTC head.

    Args:
        backbone: frozen encoder.
        source: where adapter weights come from; None for no adapters at all.
        vocabulary: output symbols; index 0 is the blank.
        config: what is written to ``config.json``.
        mask_time: share of frames set to zero below the first adapter while training.
    """

    backbone: Backbone
    vocabulary: Vocabulary

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
        states = self.adapted_layers(hidden, lengths, languages, adapter)
        return {"logits": self.head(states), "lengths": lengths}

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

    @classmethod
    def from_pretrained(cls, folder: Path | str, backbone: str | None = None) -> AdaptedModel:
        """Load a checkpoint and the backbone it names (or ``backbone``, a folder or hub id).

        Args:
            folder: that of a joint run too; or ``default``, or a hub id: :func:`checkpoint_folder`.
            backbone: in place of the one that the checkpoint names.

        Raises:
            CheckpointError: a file is missing or broken, the backbone has another shape, or the
                checkpoint was trained for another objective than CTC.
            BackboneError: the backbone cannot be found.
        """
        folder = checkpoint_folder(folder)
        config = read_model_config(folder)
        if config.objective != "ctc":
            if config.objective == "mlm":
                raise CheckpointError(f"{folder} is a model of text; expected one of speech")
            if config.objective == "seq2seq":
                raise CheckpointError(
                    f"{folder} was trained for Whisper's decoder and has no CTC head: use it with "
                    "`transcribe` and `evaluate`, --decoder whisper"
                )
            raise CheckpointError(
                f"{folder} was trained for {config.objective} and has no CTC head: give it one with "
                f"`pretrain` and `init_from: {folder}`"
            )
        encoder = load_encoder(config, folder, backbone)
        source = build_source(config.source, config.hidden_size, config.layers, config.languages)
        model = cls(encoder, source, Vocabulary.load(folder / VOCABULARY), config)
        model.load_trainable_state(read_weights(folder), str(folder))
        model.card = read_card(folder)
        return model.eval()


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
