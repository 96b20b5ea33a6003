"""wav2vec2, XLS-R, MMS, HuBERT and WavLM encoders, frozen.

The models' own modules run in their own order; on a batch without padding the result is bit-identical
to transformers'. LayerDrop, dropout and SpecAugment belong to training mode, which a backbone never
enters. Two things differ where rows are padded, so that each is what it would be alone:

* Padded keys are masked in every model. Those with ``feat_extract_norm: group`` (wav2vec2-base,
  HuBERT base, WavLM base) were trained without an attention mask, on crops without padding; a masked
  row is such a crop, while an unmasked one would attend to padding that it never saw.
* Their first convolution is normalised over all of a row's time, padding included, so what lies below
  the layers runs row by row. The same holds for HuBERT's ``conv_pos_batch_norm``, which makes padding
  non-zero ahead of the positional convolution. All others run as one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.base import (
    Backbone,
    Placement,
    Waveform,
    find_padding,
    mask_keys,
    to_vectors,
)
from madg_speech.errors import BackboneError


@dataclass(frozen=True)
class RawAudio:
    """Waveforms as they are, zero-padded; the frame counts of a stack of unpadded convolutions.

    Attributes:
        normalize: scale each utterance to mean 0 and variance 1 (``do_normalize`` of the extractor).
        kernels: widths of the convolutions, lowest first.
        strides: their strides; all of these models have 320 samples in all.
    """

    normalize: bool
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    spectral: ClassVar[bool] = False

    @property
    def rate(self) -> float:
        """Samples in a second."""
        return SAMPLE_RATE

    @property
    def frame_rate(self) -> float:
        """Frames in a second: 50."""
        return SAMPLE_RATE / math.prod(self.strides)

    @property
    def rule(self) -> str:
        """Key of cached prefixes."""
        return f"{self}, own length, zero padding, padded keys masked, v1"

    def __call__(
        self, waveforms: Sequence[Waveform], device: torch.device | str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Waveforms [B, samples] and lengths [B] in samples, at least what one frame takes.

        Raises:
            ValueError: no waveform, an empty one, or one that is not a vector.
        """
        signals = to_vectors(waveforms, device)
        if self.normalize:
            signals = [(s - s.mean()) / (s.var(correction=0) + 1e-7).sqrt() for s in signals]
        shortest = self.samples(1)
        lengths = torch.tensor([max(len(s), shortest) for s in signals], device=device)
        padded = torch.zeros(len(signals), int(lengths.max()), device=device)
        for row, signal in zip(padded, signals, strict=True):
            row[: len(signal)] = signal
        return padded, lengths

    def frames(self, samples: int) -> int:
        """Encoder frames of an utterance: (samples - 80) // 320 with the usual convolutions."""
        frames = max(samples, self.samples(1))
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            frames = (frames - kernel) // stride + 1
        return frames

    def samples(self, frames: int) -> int:
        """Fewest samples of so many frames: 320 frames + 80 with the usual convolutions."""
        samples = frames
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples


class Wav2Vec2Backbone(Backbone):
    """A frozen wav2vec2, HuBERT or WavLM model; post-norm and pre-norm ("stable layer norm") alike.

    Their positions are relative, so no length is too long but for memory, which attention takes in
    proportion to its square. ``max_seconds`` is 30: these models were pretrained on at most 20 s.
    """

    def __init__(self, model: Any, name: str, normalize: bool = True):
        """Open a transformers model; ``normalize`` as in :class:`RawAudio`.

        Raises:
            BackboneError: the model has convolutions above its layers (``add_adapter``).
        """
        super().__init__()
        config = model.config
        if getattr(config, "add_adapter", False):
            raise BackboneError(
                f"{name} shortens the encoder's output by convolutions (add_adapter in its config); "
                "expected the model that it was fine-tuned from"
            )
        self.model = model.eval().requires_grad_(False)
        self.name = name
        self.layers = model.encoder.layers
        self.hidden_size = config.hidden_size
        self.max_seconds = 30.0
        self.front_end: RawAudio = RawAudio(
            normalize, tuple(config.conv_kernel), tuple(config.conv_stride)
        )
        self.pre_norm: bool = config.do_stable_layer_norm
        self.placements = tuple(self._placement(layer) for layer in model.encoder.layers)
        self.row_by_row: bool = config.feat_extract_norm == "group" or getattr(
            config, "conv_pos_batch_norm", False
        )
        # WavLM: the first layer holds a position bias for all, and masks are given as what to keep.
        self.position_bias: bool = config.model_type == "wavlm"

    def _placement(self, layer: Any) -> Placement:
        if not self.pre_norm:
            return Placement(layer.final_layer_norm, before_norm=True)
        own = getattr(layer, "adapter_layer", None)
        return Placement(layer) if own is None else Placement(own, instead=True)

    @classmethod
    def from_folder(cls, folder: Path, name: str) -> Wav2Vec2Backbone:
        """Load a folder written by ``save_pretrained``; a model without extractor is normalised."""
        from transformers import AutoModel, Wav2Vec2FeatureExtractor
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # a bar over seconds of loading says nothing
        model = AutoModel.from_pretrained(folder, dtype=torch.float32)
        try:
            normalize = Wav2Vec2FeatureExtractor.from_pretrained(folder).do_normalize
        except OSError:
            normalize = True
        return cls(model, name, normalize)

    @torch.no_grad()
    def embed(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Feature encoder, projection and positional convolution: no graph, as when frozen.

        Args:
            inputs: waveforms [B, samples].
            lengths: [B] samples.
        """
        hidden, _, frames = self._embed_batch(inputs, lengths)
        return hidden, frames

    @torch.no_grad()
    def embed_masked(
        self, inputs: Tensor, lengths: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`Backbone.embed_masked`, by the model's own mask vector, as it was pretrained.

        The convolutions' output is normalised in wav2vec2, and as it comes in HuBERT.

        Raises:
            BackboneError: a model without mask vector.
        """
        if getattr(self.model, "masked_spec_embed", None) is None:
            raise BackboneError(
                f"{self.name} has no mask vector (masked_spec_embed): objectives without text need a model "
                "as it was pretrained"
            )
        return self._embed_batch(inputs, lengths, mask)

    def _embed_batch(
        self, inputs: Tensor, lengths: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        samples = lengths.tolist()
        frames = torch.tensor([self.front_end.frames(n) for n in samples], device=inputs.device)
        if self.row_by_row and min(samples) < inputs.shape[1]:
            rows = []
            for i, (row, n) in enumerate(zip(inputs, samples, strict=True)):
                own = slice(i, i + 1)
                masked = None if mask is None else mask[own, : int(frames[i])]
                rows.append(self.project(row[None, :n], frames[own], masked))
            hidden, observed = (
                pad_sequence([part[0] for part in parts], batch_first=True)
                for parts in zip(*rows, strict=True)
            )
            return hidden, observed, frames
        return *self.project(inputs, frames, mask), frames

    def project(
        self, waveforms: Tensor, frames: Tensor | None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Layer inputs and convolution features of rows that are normalised alike; None: none is padded."""
        encoder = self.model.encoder
        observed = self.model.feature_extractor(waveforms).transpose(1, 2)
        projected = self.model.feature_projection(observed)
        hidden: Tensor = projected
        if isinstance(projected, tuple):  # HuBERT gives no normalised features beside them
            hidden, observed = projected
        if mask is not None:
            vector = self.model.masked_spec_embed.to(hidden.dtype)
            hidden = torch.where(mask[..., None], vector, hidden)
        padded = find_padding(hidden, frames)
        if padded is not None:  # the positional convolution must see nothing beyond a row's end
            hidden = hidden.masked_fill(padded[..., None], 0.0)
        hidden = hidden + encoder.pos_conv_embed(hidden)
        return hidden if self.pre_norm else encoder.layer_norm(hidden), observed

    def run_layers(
        self, hidden: Tensor, lengths: Tensor | None, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Layers ``start`` to ``stop`` (exclusive; None: to the top) of hidden [B, T, H]."""
        padded = find_padding(hidden, lengths)
        if self.position_bias:
            given = {
                "attention_mask": None if padded is None else ~padded,
                "position_bias": self._bias(hidden),
            }
        else:
            given = {"attention_mask": mask_keys(padded, hidden.dtype)}
        for layer in self.layers[start:stop]:
            output = layer(hidden, **given)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def _bias(self, hidden: Tensor) -> Tensor:
        """WavLM's bias by distance [B x heads, T, T], which its first layer hands to all others."""
        rows, frames = hidden.shape[:2]
        bias: Tensor = self.model.encoder.layers[0].attention.compute_bias(frames, frames)
        return bias.repeat(rows, 1, 1)

    def finish(self, hidden: Tensor) -> Tensor:
        """The layer norm above the last layer of pre-norm models; nothing in post-norm ones."""
        return self.model.encoder.layer_norm(hidden) if self.pre_norm else hidden
