"""One adapter set shared by all languages: the first control."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.sources.base import WeightSource


class Static(WeightSource):
    """θ is learned directly and the same for every language; the language code is not looked at.

    Starts at identity: ``up`` and both biases zero, ``down`` drawn from N(0, 1/H); a norm at 1 and 0.
    """

    def __init__(self, shape: AdapterShape):
        super().__init__(shape)
        for name in shape.tensors:
            table = torch.zeros(len(shape.layers), *shape.tensor_shape(name))
            if name == "down":
                table.normal_(std=shape.hidden_size**-0.5)
            elif name == "norm_weight":
                table.fill_(1.0)
            self.register_parameter(name, nn.Parameter(table))

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """The shared tensors, one (unmaterialised) copy a language."""
        tensors = {
            name: getattr(self, name).expand(len(languages), *getattr(self, name).shape)
            for name in self.shape.tensors
        }
        return AdapterWeights(self.shape.layers, **tensors)
