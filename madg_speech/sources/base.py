"""What every source of adapter weights is: language codes in, AdapterWeights out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from madg_speech.adapters import AdapterShape, AdapterWeights


class WeightSource(nn.Module):
    """Maps language codes to adapter weights; every baseline is the same code with another source."""

    def __init__(self, shape: AdapterShape):
        super().__init__()
        self.shape = shape

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """Weights for ``languages`` (ISO 639-3), one row each, in that order."""
        raise NotImplementedError
