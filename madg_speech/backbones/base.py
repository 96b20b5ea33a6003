"""What every backbone offers: the same few steps, whatever the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Waveform = npt.NDArray[np.float32] | Tensor


class FrontEnd(Protocol):
    """Waveforms -> encoder inputs. A small frozen dataclass, so that loader processes can have a copy.

    Each row is as if it were alone, and zero after its own length.
    """

    @property
    def rate(self) -> float:
        """Steps of the inputs' time axis in a second."""

    @property
    def frame_rate(self) -> float:
        """Encoder frames in a second, edges aside; :meth:`frames` is exact."""

    @property
    def rule(self) -> str:
        """All that decides the values, in words: part of the key of cached prefixes."""

    @property
    def spectral(self) -> bool:
        """Whether the inputs are bands over time, [B, bands, T], which SpecAugment can mask."""

    def __call__(
        self, waveforms: Sequence[Waveform], device: torch.device | str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Padded inputs [B, ..., T] of 16 kHz waveforms and their lengths [B] along T."""

    def frames(self, samples: int) -> int:
        """Encoder frames of an utterance of so many samples."""

    def samples(self, frames: int) -> int:
        """Samples that are enough for so many encoder frames."""


@dataclass(frozen=True)
class Placement:
    """Where the adapter of one layer goes; :mod:`madg_speech.injection` has the equations.

    Attributes:
        module: the module whose output is adapted.
        before_norm: False: the adapter adds to the output. True: ``module`` is the layer norm at the
            end of a post-norm layer, and the adapter adds to what it normalises.
        instead: ``module`` computes what an adapter of the backbone's own adds to its input (MMS);
            ours takes its place.
    """

    module: nn.Module
    before_norm: bool = False
    instead: bool = False


class Encoder(nn.Module):
    """A frozen encoder, opened at its layers.

    Attributes:
        name: hub id or folder it was loaded from.
        layers: the transformer layers, lowest first.
        hidden_size: width H.
        placements: where the adapter of each layer goes.
    """

    name: str
    layers: nn.ModuleList
    hidden_size: int
    placements: tuple[Placement, ...]

    def train(self, mode: bool = True) -> Encoder:
        """Stay in evaluation mode: a frozen backbone has no dropout and no LayerDrop to sample."""
        return super().train(False)

    def embed(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What enters the first layer: hidden [B, T, H], and lengths [B] along its T."""
        raise NotImplementedError

    def run_layers(
        self, hidden: Tensor, lengths: Tensor | None, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Layers ``start`` to ``stop`` (exclusive; None: to the top) of hidden [B, T, H].

        ``lengths`` [B] in frames; None says, without looking, that no row is padded.
        """
        raise NotImplementedError

    def finish(self, hidden: Tensor) -> Tensor:
        """What the encoder does above its last layer."""
        raise NotImplementedError


class Backbone(Encoder):
    """A frozen encoder of speech.

    Attributes:
        max_seconds: the longest audio to give it in one piece.
        front_end: what makes its inputs.
    """

    max_seconds: float
    front_end: FrontEnd

    def embed_masked(
        self, inputs: Tensor, lengths: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`embed` with frames replaced before their positions are known (encoders of waveforms).

        Args:
            inputs: waveforms [B, samples].
            lengths: [B] samples.
            mask: [B, T] bool, true in frames to replace.

        Returns:
            hidden [B, T, H], the convolutions' output [B, T, C] before masking, and lengths [B] in frames.
        """
        raise NotImplementedError

    def positions(self, frames: int) -> Tensor:
        """[T, H]: by what the layers know a frame's place when it says nothing (encoders of spectra)."""
        raise NotImplementedError

    def features(self, waveforms: Sequence[Waveform]) -> tuple[Tensor, Tensor]:
        """The front end's inputs and lengths [B] of 16 kHz waveforms, on the backbone's device."""
        return self.front_end(waveforms, device=next(self.parameters()).device)


def find_padding(hidden: Tensor, lengths: Tensor | None) -> Tensor | None:
    """[B, T] bool, true in padded frames of hidden [B, T, H]; None where nothing is padded.

    No mask at all on unpadded batches keeps them bit-identical to plain transformers.
    """
    if lengths is None:
        return None
    frames = torch.arange(hidden.shape[1], device=hidden.device)
    padded = frames[None] >= lengths[:, None].to(hidden.device)
    return padded if bool(padded.any()) else None


def mask_keys(padded: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to attention scores [B, heads, T, T] so that no frame attends to padding."""
    if padded is None:
        return None
    mask = torch.zeros(padded.shape, dtype=dtype, device=padded.device)
    return mask.masked_fill_(padded, torch.finfo(dtype).min)[:, None, None]


def to_vectors(
    waveforms: Sequence[Waveform], device: torch.device | str | None = None
) -> list[Tensor]:
    """Waveforms as float32 vectors; ValueError for none, an empty one, or one that is no vector."""
    if not len(waveforms):
        raise ValueError("got no waveform; expected at least one")
    signals = []
    for row, waveform in enumerate(waveforms):
        signal = torch.as_tensor(waveform, dtype=torch.float32, device=device)
        if signal.ndim != 1 or not len(signal):
            raise ValueError(
                f"waveform {row} has shape {list(signal.shape)}; "
                "expected mono samples [samples], at least one"
            )
        signals.append(signal)
    return signals
