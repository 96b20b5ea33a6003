"""One permutation of languages, for the control that gives each the vector of another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from madg_speech.errors import DataError
from madg_speech.splits import NEAR_DUPLICATE, clade_of
from madg_speech.typology import distances


def draw_permutation(
    languages: Iterable[str], seed: int, within_family: bool = False
) -> dict[str, str]:
    """Whose vector each language gets: one permutation, in which none keeps its own.

    Nor does one get the vector of a near-duplicate (``splits.NEAR_DUPLICATE``), which would hardly
    differ from its own. It depends on the set of languages and the seed alone.

    Args:
        languages: ISO 639-3 codes, those of training and evaluation together.
        seed: the matching is the cheapest one under costs drawn evenly with it.
        within_family: as few languages as possible get a vector from outside their family; those
            without relatives in the set must.

    Raises:
        DataError: no such permutation exists.
        UnknownLanguageError: a code without a URIEL vector.
    """
    from scipy.optimize import linear_sum_assignment  # most of a second, for a rare control

    codes = sorted(set(languages))
    costs = np.random.default_rng(seed).random((len(codes), len(codes)))
    if within_family:
        families = np.array([clade_of(code)[0] for code in codes])
        costs += len(codes) * (families[:, None] != families)
    for row, code in zip(costs, codes, strict=True):
        row[distances(code, codes) <= NEAR_DUPLICATE] = np.inf
    try:
        _, chosen = linear_sum_assignment(costs)
    except ValueError:
        raise DataError(
            f"the vectors of {', '.join(codes)} cannot be exchanged so that none gets its own or a "
            "near-duplicate's: add languages (source.typology.languages)"
        ) from None
    return {code: codes[i] for code, i in zip(codes, chosen, strict=True)}
