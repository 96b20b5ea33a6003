"""BEST-RQ: predict which random code the log-mel of a masked frame falls on (arXiv 2202.01855).

Targets (Chiu et al. 2022, section 3): the log-mel frames under an encoder frame, normalised, go
through a random projection; the nearest of a set of random codes, both scaled to length 1, is the
class. Neither is ever trained, so nothing can collapse, and any encoder can be given the task.

The paper replaces masked input frames by noise of deviation 0.1. So do we where the encoder hears
log-mel; an encoder of waveforms gets its own mask vector, as in its pretraining. Where the lower layers
are cached, the hidden states below the first adapter are replaced instead, by a learned vector and
the position of the frame: without it all masked frames of an utterance would be one and the same. Those
layers have looked around: part of what is masked can be read off the neighbours, and the task is
easier than the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.adapters import AdapterWeights
from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.base import Backbone, FrontEnd, Waveform
from madg_speech.backbones.mel import HOP, log_mel
from madg_speech.checkpoint import ModelConfig
from madg_speech.objectives.ctc import IGNORED

BANDS = 80
NOISE = 0.1  # deviation of what replaces masked log-mel frames
_EPSILON = 1e-5


@dataclass(frozen=True)
class RandomQuantizer:
    """Waveforms -> a class per encoder frame.

    Attributes:
        projection: [S * 80, d]; S mel frames lie under an encoder frame.
        codebook: [codes, d], rows of length 1.
        front_end: of the encoder whose frames are to be told.
    """

    projection: Tensor
    codebook: Tensor
    front_end: FrontEnd

    @classmethod
    def draw(cls, codes: int, code_size: int, front_end: FrontEnd) -> RandomQuantizer:
        """Xavier-uniform projection and normal codes, as in the paper; always the same ones."""
        random = torch.Generator().manual_seed(0)
        projection = torch.empty(_stacked(front_end) * BANDS, code_size)
        nn.init.xavier_uniform_(projection, generator=random)
        codebook = torch.randn(codes, code_size, generator=random)
        return cls(projection, nn.functional.normalize(codebook, dim=1), front_end)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[Tensor]:
        """Codes [T] of each 16 kHz waveform, T being the frames that the encoder gives it."""
        mel, lengths = log_mel(waveforms, BANDS)
        return [
            self._classify(row[:, :length].T, self.front_end.frames(len(waveform)))
            for row, length, waveform in zip(mel, lengths.tolist(), waveforms, strict=True)
        ]

    def _classify(self, mel: Tensor, frames: int) -> Tensor:
        # Each band over the utterance: loudness, channel and bandwidth must not decide the class.
        mel = (mel - mel.mean(0)) / (mel.std(0, correction=0) + _EPSILON)
        per = _stacked(self.front_end)
        # A frame of unpadded convolutions is centred 200 samples after its first one, nearest to the
        # second and third mel frame from there; one of Whisper's stands on the first.
        first = 0 if self.front_end.spectral else 1
        places = torch.arange(frames)[:, None] * per + torch.arange(first, first + per)
        stacks = mel[places.clamp(max=len(mel) - 1)].flatten(1)
        # Scaled or not, the nearest code of length 1 is the one with the largest product.
        codes: Tensor = (stacks @ self.projection @ self.codebook.T).argmax(1)
        return codes


def _stacked(front_end: FrontEnd) -> int:
    return round(SAMPLE_RATE / HOP / front_end.frame_rate)


class MaskedPrediction(AdaptedEncoder):
    """An adapted encoder with a linear classifier of codes and a vector for masked frames.

    Args:
        backbone: frozen encoder.
        source: adapter weights.
        config: what is written to ``config.json``.
        codes: number of classes.
        code_size: width in which codes are compared.
    """

    def __init__(
        self, backbone: Backbone, source: Any, config: ModelConfig, codes: int, code_size: int
    ):
        super().__init__(backbone, source, config)
        self.head = nn.Linear(backbone.hidden_size, codes)
        self.mask_vector = nn.Parameter(torch.zeros(backbone.hidden_size))
        self.head_first = 0  # steps in which only the head learns
        drawn = RandomQuantizer.draw(codes, code_size, backbone.front_end)
        self.projection: Tensor
        self.codebook: Tensor
        self.register_buffer("projection", drawn.projection)
        self.register_buffer("codebook", drawn.codebook)

    def quantizer(self) -> RandomQuantizer:
        """What makes the targets, on the CPU; a loaded checkpoint's own."""
        return RandomQuantizer(self.projection.cpu(), self.codebook.cpu(), self.backbone.front_end)

    def at_step(self, step: int) -> None:
        """Let the source learn once the head knows what the adapters say now."""
        if self.head_first:
            self.source.requires_grad_(step >= self.head_first)

    def forward(
        self,
        lengths: Tensor,
        languages: Sequence[str | None],
        mask: Tensor,
        features: Tensor | None = None,
        hidden: Tensor | None = None,
        adapter: AdapterWeights | None = None,
    ) -> dict[str, Tensor]:
        """Logits [M, codes] of the M masked frames, row after row.

        Args:
            lengths: as in :meth:`madg_speech.model.AdaptedModel.forward`, like ``languages``,
                ``features``, ``hidden`` and ``adapter``.
            languages: one a row.
            mask: [B, T] bool in encoder frames.
            features: log-mel with masked frames overwritten already, or waveforms as they are.
            hidden: states of the cached prefix as they are, of an encoder of log-mel.
            adapter: in place of the source's.
        """
        if hidden is not None:
            blank = self.mask_vector + self.backbone.positions(hidden.shape[1])
            hidden = torch.where(mask[..., None], blank.to(hidden.dtype), hidden)
        elif self.backbone.front_end.spectral:
            assert features is not None
            hidden, lengths = self.prefix(features, lengths)
        else:
            assert features is not None
            hidden, _, lengths = self.masked_prefix(features, lengths, mask)
        states = self.adapted_layers(hidden, lengths, languages, adapter)
        logits: Tensor = self.head(states[mask])
        return {"logits": logits, "codes": logits.argmax(-1, keepdim=True)}


def prediction_loss(
    outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross-entropy in nats per masked frame.

    Args:
        outputs: ``logits`` [M, C] of the M masked frames, row after row.
        labels: [B, T] classes, -100 in frames that are not masked.
        num_items_in_batch: masked frames in the optimiser step over all ranks; those of ``labels``
            when None.
    """
    targets = labels[labels != IGNORED]
    total = nn.functional.cross_entropy(outputs["logits"].float(), targets, reduction="sum")
    return total / (len(targets) if num_items_in_batch is None else num_items_in_batch)
