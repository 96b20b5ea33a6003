"""What trained languages say of another one: how much each counts for it, and how far they reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from madg_speech.config.source import ShrinkConfig, UnseenConfig
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


def reach(language: str, trained: Sequence[str], shrink: ShrinkConfig, typology: Typology) -> float:
    """How far knowledge of the trained languages reaches: 1 at each of them, towards 0 far away.

    With distances d in ``typology`` and k(d) = exp(-d / scale): ``nearest`` is k of the least
    distance; ``gp`` is 1 - posterior / prior variance of a noise-free Gaussian process with kernel k,
    k(l)ᵀ K⁻¹ k(l) (Rasmussen and Williams 2006, equation 2.26), so that many languages at some distance
    count for more than one.

    Raises:
        UnknownLanguageError: a language without a vector.
    """
    if shrink.rule == "none":
        return 1.0
    near = np.exp(-typology.distances(language, trained) / shrink.scale)
    if shrink.rule == "nearest":
        return float(near.max())
    kernel = np.exp(-np.stack([typology.distances(t, trained) for t in trained]) / shrink.scale)
    # Languages with one and the same vector make K singular: least squares takes them as one.
    explained = near @ np.linalg.lstsq(kernel, near, rcond=1e-9)[0]
    return float(np.clip(explained, 0.0, 1.0))
