"""λ as a free parameter of one language, under a frozen generator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from madg_speech.adapters import AdapterWeights
from madg_speech.sources.base import WeightSource
from madg_speech.sources.madg import MadG
from madg_speech.sources.two_stage import TwoStage


class FreeEmbedding(WeightSource):
    """Adapters from a λ [1, d] that no vector determines: a way in for a language without one.

    Args:
        generator: turns λ into weights; frozen.
        start: the first λ.
    """

    def __init__(self, generator: MadG | TwoStage, start: Tensor):
        super().__init__(generator.shape)
        self.generator = generator.requires_grad_(False)
        self.embedding = nn.Parameter(start.detach().clone())

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """The one adapter, a copy a language; codes are not looked at."""
        return self.generator.generate(self.embedding.expand(len(languages), -1))
