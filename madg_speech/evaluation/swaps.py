"""Adapters other than a language's own, at test time: what is left when its vector is taken away.

- ``none``: no adapter.
- ``nearest``: that of the typologically nearest other training language.
- ``same-clade``, ``other-family``: that of a language drawn, for each language once and for all, from
  its clade, or from the training languages of other families.
- ``mean``, ``zero``, ``random``: generated from the training languages' mean vector, from zeros, or from
  a vector each of whose features is that of some training language.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from madg_speech.errors import ConfigError
from madg_speech.languages import all_languages
from madg_speech.splits import NEAR_DUPLICATE, clade_of
from madg_speech.typology import Floats, distances, nearest

if TYPE_CHECKING:
    from madg_speech.adapted_encoder import AdaptedEncoder
    from madg_speech.adapters import AdapterWeights

OTHER_LANGUAGE = ("nearest", "same-clade", "other-family")
OTHER_VECTOR = ("mean", "zero", "random")
SWAPS = ("none", *OTHER_LANGUAGE, *OTHER_VECTOR)


def other_language(swap: str, language: str, trained: Sequence[str]) -> str:
    """The language whose adapter ``language`` gets.

    Args:
        swap: of ``OTHER_LANGUAGE``. ``same-clade`` prefers training languages, takes any that URIEL has
            otherwise, never a near-duplicate; a language without such relatives gets the nearest one.
        language: ISO 639-3.
        trained: the training languages.

    Raises:
        ConfigError: there is none.
    """
    if swap == "same-clade":
        known = _members(clade_of(language))
        far = distances(language, known) > NEAR_DUPLICATE
        pool = [iso for iso, other in zip(known, far, strict=True) if other]
        pool = [iso for iso in pool if iso in trained] or pool
    elif swap == "other-family":
        pool = [iso for iso in trained if clade_of(iso)[0] != clade_of(language)[0]]
    else:
        pool = []
    if pool:
        return sorted(pool)[_draws(language).integers(len(pool))]
    found = nearest(language, trained, 1) if swap != "other-family" else []
    if not found:
        raise ConfigError(
            f"--adapter-from {swap}: no other training language can stand for {language} "
            f"({len(trained)} were trained on)"
        )
    return found[0].iso


def other_vector(swap: str, language: str, model: AdaptedEncoder) -> AdapterWeights:
    """The adapter generated from a vector of ``OTHER_VECTOR`` in place of the language's own.

    Raises:
        ConfigError: the source generates nothing from vectors, or names no training language.
    """
    import torch

    source, trained = model.source, model.spec.languages
    if not hasattr(source, "typology") or not trained:
        raise ConfigError(
            f"--adapter-from {swap} needs a generator and its training languages; this checkpoint has a "
            f"{model.spec.source.kind} source trained on {len(trained)} languages"
        )
    known = source.typology.vectors(trained)
    swapped = copy.copy(source)  # shares all tensors; the model's own source keeps its vectors
    swapped.typology = source.typology.with_vector(swap, _vector(swap, language, known))
    with torch.inference_mode():
        weights: AdapterWeights = swapped([swap])
    return weights


def _vector(swap: str, language: str, known: Floats) -> Floats:
    if swap == "zero":
        return np.zeros_like(known[0])
    if swap == "mean":
        return np.asarray(known.mean(axis=0))
    rows = _draws(language).integers(len(known), size=known.shape[1])
    return np.asarray(known[rows, np.arange(known.shape[1])])


@cache
def _members(clade: tuple[str, ...]) -> list[str]:
    return [lang.iso for lang in all_languages() if clade_of(lang.iso) == clade]


def _draws(language: str) -> np.random.Generator:
    return np.random.default_rng([*language.encode()])
