"""One adapter set for each training language (MAD-X: Pfeiffer et al., EMNLP 2020): the ceiling.

    θ(l) = Σ_m a_m(l) θ_m      a(l): shares over the training languages m, from madg_speech.kin

A training language is its own row alone. Other languages are refused, or mixed of the rows: the
nearest, the mean, the clade's mean, or all by typological similarity (TIPA, arXiv 2601.16629).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.config.source import UnseenConfig
from madg_speech.kin import shares
from madg_speech.sources.base import WeightSource
from madg_speech.typology import Typology


class PerLanguage(WeightSource):
    """A row of weights per training language; each starts at identity, like a static source.

    Args:
        shape: of each adapter set.
        trained: the training languages, in the order of the rows.
        unseen: what stands for any other language.
        typology: in which its distances are measured.
    """

    def __init__(
        self,
        shape: AdapterShape,
        trained: Sequence[str],
        unseen: UnseenConfig,
        typology: Typology,
    ):
        super().__init__(shape)
        self.trained = tuple(trained)
        self.unseen = unseen
        self.relations = typology
        for name in shape.tensors:
            table = torch.zeros(len(self.trained), len(shape.layers), *shape.tensor_shape(name))
            if name == "down":
                table.normal_(std=shape.hidden_size**-0.5)
            elif name == "norm_weight":
                table.fill_(1.0)
            self.register_parameter(name, nn.Parameter(table))

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """Own rows, or mixtures of rows.

        Raises:
            UnknownLanguageError: not trained on, and the rule is ``error`` or there is no vector.
        """
        mixture = np.stack([self._shares(language) for language in languages])
        used = np.flatnonzero(mixture.any(axis=0))
        device = self.get_parameter("down").device
        rows = torch.from_numpy(used).to(device)
        weights = torch.from_numpy(mixture[:, used]).to(device)

        def mixed(name: str) -> Tensor:
            return torch.einsum("lm,m...->l...", weights, getattr(self, name)[rows])

        return AdapterWeights(
            self.shape.layers, **{name: mixed(name) for name in self.shape.tensors}
        )

    def _shares(self, language: str) -> np.ndarray:
        return shares(language, self.trained, self.unseen, self.relations)
