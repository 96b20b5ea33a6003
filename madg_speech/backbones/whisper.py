"""Whisper encoders of any size on audio of any length up to 30 seconds, frozen.

transformers' encoder takes 30-second windows only and has no attention mask. Here the same layers run on as
many frames as there are, with padded keys masked; on a full unpadded window the result is bit-identical to
transformers'.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from madg_speech.backbones.base import Backbone, Placement, find_padding, mask_keys
from madg_speech.backbones.mel import LogMel
from madg_speech.backbones.whisper_encoder import WhisperEncoder


class WhisperBackbone(Backbone):
    """A frozen Whisper encoder; ``max_seconds`` is what fits its positions."""

    front_end: LogMel

    def __init__(self, encoder: WhisperEncoder, name: str):
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.name = name
        self.layers = encoder.layers
        self.hidden_size = encoder.shape.d_model
        self.front_end = LogMel(encoder.shape.num_mel_bins)
        self.max_frames = encoder.shape.max_source_positions
        self.max_seconds = self.max_frames / self.front_end.frame_rate
        self.placements = tuple(Placement(layer) for layer in self.layers)

    @classmethod
    def from_folder(cls, folder: Path, name: str) -> WhisperBackbone:
        """Load the encoder of a Whisper model from a folder written by ``save_pretrained``."""
        return cls(WhisperEncoder.from_folder(folder), name)

    def embed(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolutions and positions, before the first layer.

        Args:
            inputs: log-mel [B, mel, T] with T even and zero in padded frames.
            lengths: [B] mel frames, even.

        Returns:
            hidden [B, T/2, H] and lengths [B] in encoder frames (50 a second).

        Raises:
            ValueError: more frames than the encoder has positions.
        """
        frames = inputs.shape[-1] // 2
        if frames > self.max_frames:
            raise ValueError(
                f"{frames / 50:.1f} s of audio in one row; the encoder takes {self.max_seconds:.0f} s"
            )
        gelu = nn.functional.gelu
        hidden = gelu(self.encoder.conv1(inputs))
        hidden = gelu(self.encoder.conv2(hidden)).permute(0, 2, 1)
        return hidden + self.positions(frames), lengths // 2

    def positions(self, frames: int) -> Tensor:
        """Position embeddings [T, H]; what is added before the first layer stays in the residual stream."""
        weight = self.encoder.embed_positions.weight
        embedded: Tensor = self.encoder.embed_positions(torch.arange(frames, device=weight.device))
        return embedded

    def run_layers(
        self, hidden: Tensor, lengths: Tensor | None, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Layers ``start`` to ``stop`` (exclusive; None: to the top) of hidden [B, T, H]."""
        mask = mask_keys(find_padding(hidden, lengths), hidden.dtype)
        for layer in self.layers[start:stop]:
            hidden = layer(hidden, mask)
        return hidden

    def finish(self, hidden: Tensor) -> Tensor:
        """The layer norm above the last layer."""
        normed: Tensor = self.encoder.layer_norm(hidden)
        return normed
