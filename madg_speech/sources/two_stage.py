"""Two stages: what all languages share first, then a generated part that starts at zero.

A plain linear generator can give every training language any embedding at all (their vectors have full
rank), so it fits seen languages and can harm unseen ones. Here

    θ_n(l) = θ_n^static + s · W_n λ(l),    λ(l) = V (t(l) - t̄),    W = 0 at the start,

with t̄ the mean vector of the training languages and no bias in λ: the mean vector gives exactly the
static adapter, and a language pays for every step away from it. A feature in which the training
languages do not differ counts for nothing. While training, features of t are dropped, and whole
vectors, so that the static part stays good alone.

Interpolated, t(l) is t(l) + a (t(m) - t(l)) while training, with m drawn from the ``RELATIVES`` trained
languages nearest to l and a from [0, interpolation]: what a language says must then be understood with an
adapter part of the way to a relative's, so the map is smooth between relatives, where unseen languages
lie. (mixup, arXiv 1710.09412, without mixed targets: one utterance is not in two languages.)

With effects λ(l) = V (t(l) - t̄) + ε_l for a trained language, as in a mixed-effects model: ε_l, free, zero
at the start, takes what is peculiar to a language's recordings (often one speaker, one room, one
synthesiser), so that V need not explain it. An unseen language has none; half of them are dropped in
training, so that V does not lean on them.

With a gate λ(l) = softmax(V (t(l) - t̄)) - 1/d and s = 1: a mean of d basis adapters, less their plain mean.
Shrunk, λ(l) is multiplied by r(l) in [0, 1], 1 at the training languages and falling with distance
(``kin.reach``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.config.source import ShrinkConfig
from madg_speech.kin import reach
from madg_speech.sources.base import WeightSource
from madg_speech.sources.madg import Tables
from madg_speech.sources.static import Static
from madg_speech.typology import Typology

RELATIVES = 3
EFFECT_DROPOUT = 0.5


class TwoStage(WeightSource):
    """A static adapter plus a generated part on centred vectors.

    Args:
        shape: the adapters to generate.
        typology: maps codes to vectors t(l).
        centre: codes of the training languages, whose mean vector is t̄.
        embedding_size: width d of λ.
        per_layer: a table for each layer; else one for all. (In MAD-G-LS, W [λ; e_n] = W_λ λ + W_e e_n:
            the layer term does not depend on the language, and the static part already holds it.)
        feature_dropout: probability of a centred feature being set to zero in training.
        vector_dropout: probability of a language's whole centred vector being set to zero.
        gate: λ on a simplex of ``embedding_size`` basis adapters.
        shrink: how r(l) falls with the distance from the languages of ``centre``.
        interpolation: the longest step towards a relative, as a share of the way.
        effects: a free ε_l for each language of ``centre``.
    """

    def __init__(
        self,
        shape: AdapterShape,
        typology: Typology,
        centre: Sequence[str],
        embedding_size: int = 32,
        per_layer: bool = False,
        feature_dropout: float = 0.3,
        vector_dropout: float = 0.3,
        gate: bool = False,
        shrink: ShrinkConfig | None = None,
        interpolation: float = 0.0,
        effects: bool = False,
    ):
        super().__init__(shape)
        self.typology = typology
        self.static = Static(shape)
        self.embed = nn.Linear(typology.dim, embedding_size, bias=False)
        self.tables = Tables(shape, embedding_size, per_layer, "zero", gate)
        self.gate = gate
        self.trained = tuple(centre)
        self.shrink = shrink or ShrinkConfig()
        self.feature_dropout = feature_dropout
        self.vector_dropout = vector_dropout
        self.interpolation = interpolation
        self.effects: nn.Parameter | None = None
        if effects:
            self.effects = nn.Parameter(torch.zeros(len(self.trained), embedding_size))
        vectors = torch.from_numpy(typology.vectors(centre))
        mean = vectors.mean(0) if centre else torch.zeros(typology.dim)
        self.mean: Tensor
        self.register_buffer("mean", mean)
        if centre:
            # No training language differs in these features, so V never learns what they mean: left at
            # their random start, they would be noise in just those languages that do differ.
            self.embed.weight.data[:, vectors.amin(0) == vectors.amax(0)] = 0

    def embedding(self, languages: Sequence[str]) -> Tensor:
        """λ(l) of each language: [L, d]."""
        vectors = self._centred(languages)
        if self.training and self.interpolation:
            relatives = [self._draw_relative(language) for language in languages]
            steps = self.interpolation * torch.rand(len(languages), 1, device=vectors.device)
            vectors = vectors + steps * (self._centred(relatives) - vectors)
        vectors = nn.functional.dropout(vectors, self.feature_dropout, self.training)
        if self.training:
            kept = torch.rand(len(languages), 1, device=vectors.device) >= self.vector_dropout
            vectors = vectors * kept
        embedded: Tensor = self.embed(vectors)
        if self.effects is not None:
            embedded = embedded + self._own_effects(languages, self.effects)
        if self.gate:
            embedded = embedded.softmax(-1) - 1 / embedded.shape[-1]
        if self.shrink.rule == "none" or self.training:  # r is 1 at every training language
            return embedded
        reached = [reach(name, self.trained, self.shrink, self.typology) for name in languages]
        return embedded * embedded.new_tensor(reached)[:, None]

    def _centred(self, languages: Sequence[str]) -> Tensor:
        vectors = torch.from_numpy(self.typology.vectors(languages))
        return vectors.to(self.mean.device) - self.mean

    def _own_effects(self, languages: Sequence[str], effects: Tensor) -> Tensor:
        own = effects.new_zeros(len(languages), len(self.trained))
        for row, language in enumerate(languages):
            dropped = self.training and float(torch.rand(())) < EFFECT_DROPOUT
            if language in self.trained and not dropped:
                own[row, self.trained.index(language)] = 1
        return own @ effects

    def _draw_relative(self, language: str) -> str:
        others = [other for other in self.trained if other != language]
        if not others:
            return language
        near = np.argsort(self.typology.distances(language, others), kind="stable")[:RELATIVES]
        return others[int(near[int(torch.randint(len(near), ()))])]

    def forward(self, languages: Sequence[str]) -> AdapterWeights:
        """Generate the adapters of ``languages``; raises UnknownLanguageError for one without vector."""
        return self.generate(self.embedding(languages))

    def generate(self, embedding: Tensor) -> AdapterWeights:
        """Adapters from language embeddings λ [L, d]."""
        context = embedding[:, None].expand(-1, len(self.shape.layers), -1)
        generated = self.tables(context)
        tensors = {name: getattr(self.static, name) + generated[name] for name in generated}
        return AdapterWeights(self.shape.layers, **tensors)
