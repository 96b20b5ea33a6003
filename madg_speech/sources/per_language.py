"""One adapter set for each language, learned or imported: MAD-X's way, and what a source is distilled from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.errors import UnknownLanguageError
from madg_speech.sources.base import WeightSource
from madg_speech.sources.static import Static


class PerLanguage(WeightSource):
    """A table with a row of adapters a language (Pfeiffer et al. 2020); others have none.

    Every row starts at the same identity as :class:`Static`.

    Args:
        shape: of each language's adapters.
        languages: codes (ISO 639-3), a row each.
    """

    def __init__(self, shape: AdapterShape, languages: Sequence[str]):
        super().__init__(shape)
        self.languages = tuple(languages)
        start = Static(shape)
        for name in shape.tensors:
            row = getattr(start, name).detach()
            table = row.expand(len(self.languages), *row.shape).clone()
            self.register_parameter(name, nn.Parameter(table))

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """The rows of ``languages``.

        Raises:
            UnknownLanguageError: a language without a row.
        """
        missing = [code for code in languages if code not in self.languages]
        if missing:
            raise UnknownLanguageError(
                f"no adapter for {missing[0]}: there is one each for {', '.join(self.languages)}"
            )
        rows = torch.tensor([self.languages.index(code) for code in languages])
        tensors = {
            name: getattr(self, name).index_select(0, rows.to(getattr(self, name).device))
            for name in self.shape.tensors
        }
        return AdapterWeights(self.shape.layers, **tensors)
