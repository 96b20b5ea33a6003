"""How much each trained language counts for another one: the rows to mix where none is its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from madg_speech.config import UnseenConfig
from madg_speech.errors import ConfigError, UnknownLanguageError
from madg_speech.splits import clade_of
from madg_speech.typology import Typology


def shares(
    language: str, trained: Sequence[str], unseen: UnseenConfig, typology: Typology
) -> NDArray[np.float32]:
    """Weights over the trained languages, not negative, sum 1: float32 [len(trained)].

    A trained language is itself. For another one ``unseen.rule`` says: ``nearest`` by distance in
    ``typology``, the first of equals; ``mean`` of all; ``clade-mean``, all of its clade, or else of its
    family, or else of all; ``weighted``, softmax(-distance / temperature), as TIPA mixes adapters by
    typological similarity (Accou and Poelman, Findings of EACL 2026, arXiv 2601.16629).

    Raises:
        UnknownLanguageError: the rule is ``error``, or a distance is asked for and there is no vector.
        ConfigError: there is no trained language.
    """
    if not trained:
        raise ConfigError("no trained language is known: train on some, or load a checkpoint")
    given: NDArray[np.float32] = np.zeros(len(trained), np.float32)
    if language in trained:
        given[trained.index(language)] = 1
    elif unseen.rule == "error":
        raise UnknownLanguageError(
            f"{language} was not trained on, and this source has a row for each trained language "
            f"only ({', '.join(trained)}): ask for one of them, or set source.unseen.rule to nearest, "
            "mean, clade-mean or weighted"
        )
    elif unseen.rule == "nearest":
        given[int(np.argmin(typology.distances(language, trained)))] = 1
    elif unseen.rule == "weighted":
        near = -typology.distances(language, trained) / unseen.temperature
        given[:] = np.exp(near - near.max())
    elif unseen.rule == "clade-mean":
        given[_kin(language, trained)] = 1
    else:
        given[:] = 1
    given /= given.sum()
    return given


def _kin(language: str, trained: Sequence[str]) -> NDArray[np.bool_]:
    own = clade_of(language)
    clades = [clade_of(other) for other in trained]
    same = np.array([clade == own for clade in clades])
    if not same.any():
        same = np.array([clade[0] == own[0] for clade in clades])
    return same if same.any() else np.ones(len(trained), bool)
