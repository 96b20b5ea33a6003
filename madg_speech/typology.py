"""Typological vectors: a language's 289 URIEL features, how many were observed, distances.

URIEL and lang2vec: Littell et al., EACL 2017. The vector is lang2vec's ``syntax_knn``,
``phonology_knn`` and ``inventory_knn``, in that order.
"""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from madg_speech.errors import DataError, UnknownLanguageError
from madg_speech.language_data.uriel import BLOCKS, read_uriel

Floats = NDArray[np.float32]

# URIEL keeps part of its facts under macro codes: WALS' Latvian is lav, and lvs is guesswork. Where
# the individual code has under half of the macro code's observed features, and both mean the same
# standard language, its vector is the macro code's row.
DESCRIBED_BY = {
    "arb": "ara", "ekk": "est", "gaz": "orm", "gom": "kok", "lvs": "lav",
    "npi": "nep", "ory": "ori", "pbt": "pus", "twi": "aka",
}  # fmt: skip


@dataclass(frozen=True)
class Neighbour:
    """A language near another: their distance in [0, 1] and its own observed share in [0, 1]."""

    iso: str
    distance: float
    observed_share: float


class Typology:
    """A named table of one vector per language.

    Args:
        name: what reports and checkpoints call it.
        feature_names: the columns, ``dim`` of them.
        rows: ISO code -> float32 vector [dim].
        expected: which languages have a row, for the error about one that has none.
    """

    def __init__(
        self,
        name: str,
        feature_names: Sequence[str],
        rows: Mapping[str, Floats],
        expected: str = "ISO 639-3 codes with a URIEL entry; resolve a name or tag first, or give "
        "a vector with --vector FILE",
    ):
        self.name = name
        self.feature_names = tuple(feature_names)
        self._rows = rows
        self._expected = expected

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.feature_names)

    def vectors(self, isos: Sequence[str]) -> Floats:
        """The vectors of ``isos``, float32 [n, dim].

        Raises:
            UnknownLanguageError: a code without a row; give codes from ``languages.resolve``.
        """
        missing = [iso for iso in isos if iso not in self._rows]
        if missing:
            raise UnknownLanguageError(
                f"no {self.name} vector for {', '.join(missing)}: expected {self._expected}"
            )
        if not isos:
            return np.empty((0, self.dim), np.float32)
        return np.stack([self._rows[iso] for iso in isos])

    def with_vector(self, iso: str, vector: Floats) -> Typology:
        """This typology with one vector [dim] added, or replaced if it has ``iso``."""
        given = np.asarray(vector, np.float32)
        if given.shape != (self.dim,):
            raise DataError(f"vector for {iso}: expected {self.dim} numbers, got {given.shape}")
        rows = ChainMap({iso: given}, cast("MutableMapping[str, Floats]", self._rows))
        return Typology(self.name, self.feature_names, rows, self._expected)

    def exchanged(self, permutation: Mapping[str, str]) -> Typology:
        """Each language of ``permutation`` with the vector of the one that it maps to; no others.

        Raises:
            UnknownLanguageError: a code without a row.
        """
        vectors = self.vectors(list(permutation.values()))
        rows = dict(zip(permutation, vectors, strict=True))
        expected = f"one of the {len(rows)} languages that vectors were exchanged among"
        return Typology(f"shuffled {self.name}", self.feature_names, rows, expected)

    def distances(self, iso: str, others: Sequence[str]) -> NDArray[np.float64]:
        """Mean absolute difference between the vector of ``iso`` and each of ``others``', [n]."""
        difference = np.abs(self.vectors(others) - self.vectors([iso]))
        return np.asarray(difference.mean(axis=1, dtype=np.float64))


@cache
def load_typology() -> Typology:
    """URIEL: 289 features, 103 syntax + 28 phonology + 158 inventory, in that order."""
    table = read_uriel()
    rows = {iso: table.values[row] for iso, row in _rows().items()}
    return Typology("uriel", table.features.tolist(), rows)


def read_vector(path: Path | str) -> Floats:
    """A user's own vector, float32 [289], from a JSON list, a ``.npy`` array or a text of numbers.

    Raises:
        DataError: not readable so, not 289 numbers, or a number outside [0, 1]; names the file.
    """
    path = Path(path)
    wanted = f"expected {load_typology().dim} numbers in [0, 1]"
    if not path.is_file():
        raise DataError(f"vector file not found: {path}")
    try:
        if path.suffix == ".npy":
            vector = np.load(path, allow_pickle=False)
        elif (text := path.read_text(encoding="utf-8").strip()).startswith(("[", "{")):
            vector = np.asarray(json.loads(text), dtype=np.float32)
        else:
            vector = np.asarray(text.replace(",", " ").split(), dtype=np.float32)
        vector = np.asarray(vector, dtype=np.float32)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: {wanted} as a JSON list, .npy or text ({error})") from None
    if vector.shape != (load_typology().dim,):
        raise DataError(f"{path}: {wanted}, got an array of shape {vector.shape}")
    wrong = np.flatnonzero(~((vector >= 0) & (vector <= 1)))
    if wrong.size:
        raise DataError(f"{path}: {wanted}, but number {wrong[0] + 1} is {vector[wrong[0]]}")
    return vector


def described_by(iso: str) -> str:
    """The URIEL code whose row serves as the vector of ``iso``: itself, mostly."""
    return DESCRIBED_BY.get(iso, iso)


def observed_features(iso: str) -> NDArray[np.bool_]:
    """Which of the 289 features some source of URIEL states for ``iso``: bool [289]."""
    if iso not in _rows():
        raise UnknownLanguageError(f"URIEL has no entry for {iso!r}")
    observed: NDArray[np.bool_] = read_uriel().observed[_rows()[iso]]
    return observed


def observed_share(iso: str) -> float:
    """Share of the 289 features that some source of URIEL states; the rest is kNN-imputed."""
    return float(observed_features(iso).mean())


def observed_share_by_block(iso: str) -> dict[str, float]:
    """The observed share within each of ``BLOCKS``."""
    observed = observed_features(iso)
    return {block: float(observed[_block(prefix)].mean()) for block, prefix in BLOCKS.items()}


def distances(iso: str, others: Sequence[str]) -> NDArray[np.float64]:
    """Share of the 289 features in which ``iso`` differs from each of ``others``, float64 [n].

    This is L1 divided by the number of features, and on URIEL's 0/1 values the normalised Hamming
    distance: 10 of 289 features apart is 0.035. L1 is also what MAD-G's code picks the nearest
    training language by. Imputed features count like observed ones; look at ``observed_share``.
    """
    return load_typology().distances(iso, others)


def nearest(iso: str, among: Iterable[str], k: int) -> list[Neighbour]:
    """The ``k`` languages ``among`` those given least distant from ``iso``, itself left out.

    Equally distant languages come with the better observed one first, then by code.
    """
    others = sorted(set(among) - {iso})
    found = [
        Neighbour(other, float(distance), observed_share(other))
        for other, distance in zip(others, distances(iso, others), strict=True)
    ]
    return sorted(found, key=lambda n: (n.distance, -n.observed_share, n.iso))[:k]


def select_diverse(candidates: Sequence[str], n: int, seed: int) -> list[str]:
    """``n`` languages far apart: greedy max-min distance from a first one drawn with ``seed``.

    Each next language is the one whose nearest chosen language is farthest away (farthest-first
    traversal, within a factor of 2 of the best possible: Gonzalez 1985). Ties fall to the seed's
    order. The result is in order of choice, so a prefix of it is a diverse set too.

    Raises:
        DataError: fewer than ``n`` candidates.
    """
    pool = select_random(candidates, len(set(candidates)), seed)
    _enough(pool, n)
    vectors = load_typology().vectors(pool)
    chosen: list[int] = []
    to_chosen = np.full(len(pool), np.inf)
    for _ in range(n):
        pick = int(np.argmax(to_chosen))
        chosen.append(pick)
        to_chosen = np.minimum(to_chosen, np.abs(vectors - vectors[pick]).mean(axis=1))
        to_chosen[chosen] = -1.0
    return [pool[pick] for pick in chosen]


def select_random(candidates: Sequence[str], n: int, seed: int) -> list[str]:
    """``n`` distinct languages drawn evenly with ``seed``: the control for ``select_diverse``.

    Raises:
        DataError: fewer than ``n`` candidates.
    """
    pool = sorted(set(candidates))
    _enough(pool, n)
    return [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))[:n]]


def _enough(pool: Sequence[str], n: int) -> None:
    if not 0 <= n <= len(pool):
        raise DataError(f"asked for {n} languages of {len(pool)} candidates")


@cache
def _block(prefix: str) -> NDArray[np.bool_]:
    return np.asarray(np.char.startswith(read_uriel().features, prefix))


@cache
def _rows() -> dict[str, int]:
    rows = {str(iso): row for row, iso in enumerate(read_uriel().isos)}
    return rows | {iso: rows[macro] for iso, macro in DESCRIBED_BY.items()}
