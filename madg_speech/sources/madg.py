"""MAD-G and MAD-G-LS: adapters generated from typological vectors (Ansell et al., EMNLP Findings 2021).

Both map a language's vector t(l) to an embedding and contract learned tables with it:

    λ(l) = V t(l) + b                         V: [d, F], F = 289 URIEL features
    MAD-G     θ_n(l) = s · W_n λ(l)           one table per adapted layer n
    MAD-G-LS  θ_n(l) = s · W [λ(l); e_n]      one table for all layers, layer embedding e_n

for each of the four adapter tensors θ (down and up weights and biases). The generator has no bias. In
adapters with a norm its weight is 1 + what is generated: at λ = 0 it changes no scale.

With a gate λ(l) = softmax(V t(l) + b) and s = 1: λ lies on a simplex, each of its d entries is the share
of a basis adapter, and no language, however far, gets anything but a mean of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.sources.base import WeightSource
from madg_speech.typology import Typology

Initialisation = Literal["near-identity", "original"]


class Tables(nn.Module):
    """The tables W of all adapter tensors, contracted with a context vector.

    Args:
        shape: the adapters to generate.
        context_size: d, the width of the context.
        per_layer: a table for each layer (MAD-G), else one for all (MAD-G-LS).
        init: ``near-identity`` draws ``down`` from N(0, 1/H), sets the others to zero and rescales the
            output by s = 1/√d, which generators of many tensors need to converge (Hyper-Adapters,
            arXiv 2205.10835); ``original`` draws every table from N(0, 1/d²) with s = 1, as the
            authors' code does; ``zero`` sets all to zero with s = 1/√d.
        gate: the context has shares of basis adapters, which s = 1 leaves as they are.
    """

    def __init__(
        self,
        shape: AdapterShape,
        context_size: int,
        per_layer: bool,
        init: Literal["near-identity", "original", "zero"],
        gate: bool = False,
    ):
        super().__init__()
        self.scale = 1.0 if gate or init == "original" else context_size**-0.5
        layers = (len(shape.layers),) if per_layer else ()
        self.names = shape.tensors
        for name in self.names:
            table = torch.zeros(*layers, *shape.tensor_shape(name), context_size)
            if init == "original":
                table.normal_(std=1 / context_size)
            elif init == "near-identity" and name == "down":
                table.normal_(std=shape.hidden_size**-0.5)
            self.register_parameter(name, nn.Parameter(table))
        self.per_layer = per_layer

    def forward(self, context: Tensor) -> dict[str, Tensor]:
        """Generate from context [L, N, d]: each tensor is [L, N, *its shape]."""
        # The context comes first: einsum then lays each adapter out in one piece, as products want it.
        equation = "lnd,n...d->ln..." if self.per_layer else "lnd,...d->ln..."
        return {
            name: torch.einsum(equation, context * self.scale, getattr(self, name))
            for name in self.names
        }


class MadG(WeightSource):
    """λ(l) = V t(l) + b, then one table per layer (MAD-G) or one for all layers (MAD-G-LS).

    Args:
        shape: the adapters to generate.
        typology: maps codes to vectors t(l).
        embedding_size: width d of λ (32 in the paper's code).
        layer_embedding_size: width of e_n; 0 gives MAD-G with a table per layer, above 0 MAD-G-LS.
        init: see :class:`Tables`.
        gate: λ on a simplex of ``embedding_size`` basis adapters.
    """

    def __init__(
        self,
        shape: AdapterShape,
        typology: Typology,
        embedding_size: int = 32,
        layer_embedding_size: int = 0,
        init: Initialisation = "near-identity",
        gate: bool = False,
    ):
        super().__init__(shape)
        self.typology = typology
        self.embed = nn.Linear(typology.dim, embedding_size)
        per_layer = layer_embedding_size == 0
        self.layer_embedding = (
            None
            if per_layer
            else nn.Parameter(torch.randn(len(shape.layers), layer_embedding_size))
        )
        self.tables = Tables(shape, embedding_size + layer_embedding_size, per_layer, init, gate)
        self.gate = gate

    def embedding(self, languages: Sequence[str]) -> Tensor:
        """λ(l) of each language: [L, d]."""
        vectors = torch.from_numpy(self.typology.vectors(languages))
        embedded: Tensor = self.embed(vectors.to(self.embed.weight.device))
        return embedded.softmax(-1) if self.gate else embedded

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """Generate the adapters of ``languages``; raises UnknownLanguageError for one without vector."""
        return self.generate(self.embedding(languages))

    def generate(self, embedding: Tensor) -> AdapterWeights:
        """Adapters from language embeddings λ [L, d]."""
        context = embedding[:, None].expand(-1, len(self.shape.layers), -1)
        if self.layer_embedding is not None:
            layers = self.layer_embedding[None].expand(embedding.shape[0], -1, -1)
            context = torch.cat([context, layers], dim=-1)
        tensors = self.tables(context)
        if self.shape.norm:
            tensors["norm_weight"] = 1 + tensors["norm_weight"]
        return AdapterWeights(self.shape.layers, **tensors)
