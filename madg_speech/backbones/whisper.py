"""Whisper encoders of any size on audio of any length up to 30 seconds, frozen.

transformers' encoder takes 30-second windows only and has no attention mask. Here its own modules run
in its own order on as many frames as there are, with padded keys masked; on a full unpadded window the
result is bit-identical to transformers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from madg_speech.errors import BackboneError


class WhisperBackbone(nn.Module):
    """A frozen Whisper encoder, opened at its layers.

    Attributes:
        name: hub id or folder it was loaded from.
        layers: the transformer layers, lowest first.
        hidden_size: width H.
        max_seconds: the longest audio that fits its positions.
    """

    def __init__(self, encoder: Any, name: str):
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.name = name
        self.layers: nn.ModuleList = encoder.layers
        self.hidden_size: int = encoder.config.d_model
        self.mel_bins: int = encoder.config.num_mel_bins
        self.max_frames: int = encoder.config.max_source_positions
        self.max_seconds: float = self.max_frames / 50

    @classmethod
    def from_pretrained(cls, name: str, revision: str | None = None) -> WhisperBackbone:
        """Load the encoder of a Whisper model by hub id or folder, in float32 on the CPU.

        Raises:
            BackboneError: not found and not to be fetched, or no Whisper model.
        """
        from transformers import AutoConfig, WhisperModel
        from transformers.utils.logging import disable_progress_bar

        from madg_speech.backbones.weights import backbone_folder

        folder: Path = backbone_folder(name, revision)
        config = AutoConfig.from_pretrained(folder)
        if config.model_type != "whisper":
            raise BackboneError(
                f"{name} is a {config.model_type} model; this checkpoint needs a Whisper encoder"
            )
        disable_progress_bar()  # a bar over a second of loading says nothing
        model = WhisperModel.from_pretrained(folder, dtype=torch.float32)
        return cls(model.encoder, name)

    def train(self, mode: bool = True) -> WhisperBackbone:
        """Stay in evaluation mode: a frozen backbone has no dropout to sample."""
        return super().train(False)

    def features(self, waveforms: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Log-mel features [B, mel, T] of 16 kHz waveforms and their lengths in mel frames [B]."""
        from madg_speech.backbones.mel import log_mel

        return log_mel(waveforms, self.mel_bins, device=self.encoder.conv1.weight.device)

    def embed(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolutions and positions, before the first layer.

        Args:
            features: [B, mel, T] with T even and zero in padded frames.
            lengths: [B] mel frames, even.

        Returns:
            hidden [B, T/2, H] and lengths [B] in encoder frames (50 a second).

        Raises:
            ValueError: more frames than the encoder has positions.
        """
        frames = features.shape[-1] // 2
        if frames > self.max_frames:
            raise ValueError(
                f"{frames / 50:.1f} s of audio in one row; the encoder takes {self.max_seconds:.0f} s"
            )
        gelu = nn.functional.gelu
        hidden = gelu(self.encoder.conv1(features))
        hidden = gelu(self.encoder.conv2(hidden)).permute(0, 2, 1)
        positions = torch.arange(frames, device=hidden.device)
        return hidden + self.encoder.embed_positions(positions), lengths // 2

    def run_layers(
        self, hidden: Tensor, lengths: Tensor, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Layers ``start`` to ``stop`` (exclusive; None: to the top) of hidden [B, T, H]."""
        mask = self._key_mask(hidden, lengths)
        for layer in self.layers[start:stop]:
            output = layer(hidden, mask)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def finish(self, hidden: Tensor) -> Tensor:
        """The layer norm above the last layer."""
        normed: Tensor = self.encoder.layer_norm(hidden)
        return normed

    def _key_mask(self, hidden: Tensor, lengths: Tensor) -> Tensor | None:
        # No mask at all on unpadded batches keeps them bit-identical to plain transformers.
        frames = hidden.shape[1]
        padded = torch.arange(frames, device=hidden.device)[None] >= lengths[:, None].to(
            hidden.device
        )
        if not bool(padded.any()):
            return None
        mask = torch.zeros(padded.shape, dtype=hidden.dtype, device=hidden.device)
        mask.masked_fill_(padded, torch.finfo(hidden.dtype).min)
        return mask[:, None, None]
