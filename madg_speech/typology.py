"""Typological vectors: the 289 URIEL features of a language, how much of them was observed, distances.

URIEL and lang2vec: Littell et al., EACL 2017. The vector is lang2vec's ``syntax_knn + phonology_knn +
inventory_knn``; its data files are read directly, since the package cannot be imported without
``pkg_resources``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madg_speech.cache import atomic_path, cache_dir
from madg_speech.errors import ConfigError, DataError, UnknownLanguageError
from madg_speech.language_data.tables import package_folder

Floats = NDArray[np.float32]

BLOCKS = {"syntax": "S_", "phonology": "P_", "inventory": "INV_"}
"""The blocks in the order in which they stand in the vector, and their feature-name prefixes."""

# URIEL keeps part of its facts under macro codes: WALS' Latvian is lav, and lvs is guesswork. Where
# the individual code has under half of the macro code's observed features, and both mean the same
# standard language, its vector is the macro code's row.
DESCRIBED_BY = {
    "arb": "ara", "ekk": "est", "gaz": "orm", "gom": "kok", "lvs": "lav",
    "npi": "nep", "ory": "ori", "pbt": "pus", "pnb": "lah", "twi": "aka",
}  # fmt: skip


class _Table(NamedTuple):
    """URIEL as read: codes [n], feature names [289], values [n, 289] and which were observed."""

    isos: NDArray[np.str_]
    features: NDArray[np.str_]
    values: Floats
    observed: NDArray[np.bool_]


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
    """

    def __init__(self, name: str, feature_names: Sequence[str], rows: Mapping[str, Floats]):
        self.name = name
        self.feature_names = tuple(feature_names)
        self._rows = rows

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
                f"no {self.name} vector for {', '.join(missing)}: expected ISO 639-3 codes with a "
                "URIEL entry; resolve a name or tag first, or give a vector with --vector FILE"
            )
        if not isos:
            return np.empty((0, self.dim), np.float32)
        return np.stack([self._rows[iso] for iso in isos])

    def with_vector(self, iso: str, vector: Floats) -> Typology:
        """This typology with one vector [dim] added, or put in place of the one it has for ``iso``."""
        given = np.asarray(vector, np.float32)
        if given.shape != (self.dim,):
            raise DataError(f"vector for {iso}: expected {self.dim} numbers, got {given.shape}")
        return Typology(self.name, self.feature_names, {**self._rows, iso: given})


@cache
def load_typology(name: str = "uriel") -> Typology:
    """A typology by name. ``uriel``: 289 features, 103 syntax + 28 phonology + 158 inventory.

    Raises:
        ConfigError: no typology of that name.
    """
    if name != "uriel":
        raise ConfigError(f"unknown typology {name!r}: expected 'uriel'")
    table = _table()
    return Typology(name, table.features.tolist(), {i: table.values[r] for i, r in _rows().items()})


def read_vector(path: Path | str) -> Floats:
    """A user's own URIEL vector, float32 [289]: a JSON list, a ``.npy`` array, or numbers in a text.

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
    """The URIEL code whose row is the vector of ``iso``: itself, but for those in ``DESCRIBED_BY``."""
    return DESCRIBED_BY.get(iso, iso)


def observed_share(iso: str) -> float:
    """Share of the 289 features that some source of URIEL states; the rest is kNN-imputed."""
    return float(_observed(iso).mean())


def observed_share_by_block(iso: str) -> dict[str, float]:
    """The observed share within each of ``BLOCKS``."""
    observed = _observed(iso)
    return {block: float(observed[_block(prefix)].mean()) for block, prefix in BLOCKS.items()}


def distances(iso: str, others: Sequence[str]) -> NDArray[np.float64]:
    """Share of the 289 features in which ``iso`` differs from each of ``others``, float64 [n] in [0, 1].

    This is L1 divided by the number of features, and on URIEL's 0/1 values the normalised Hamming
    distance: 10 of 289 features apart is 0.035. L1 is also what MAD-G's code picks the nearest
    training language by. Imputed features count like observed ones; look at ``observed_share``.
    """
    typology = load_typology()
    difference = np.abs(typology.vectors(others) - typology.vectors([iso]))
    return difference.mean(axis=1, dtype=np.float64)


def nearest(iso: str, among: Iterable[str], k: int) -> list[Neighbour]:
    """The ``k`` languages ``among`` those given that are least distant from ``iso`` (itself left out).

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


def _observed(iso: str) -> NDArray[np.bool_]:
    if iso not in _rows():
        raise UnknownLanguageError(f"URIEL has no entry for {iso!r}")
    return _table().observed[_rows()[iso]]


def _block(prefix: str) -> NDArray[np.bool_]:
    return np.char.startswith(_table().features, prefix)


@cache
def _rows() -> dict[str, int]:
    rows = {str(iso): row for row, iso in enumerate(_table().isos)}
    return rows | {iso: rows[macro] for iso, macro in DESCRIBED_BY.items()}


@cache
def _table() -> _Table:
    """URIEL from the cache, or from lang2vec's files (0.6 s) with an attempt to cache it."""
    kept = cache_dir() / f"uriel-lang2vec-{version('lang2vec')}.npz"
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _read_cached(kept)
    table = _read_lang2vec(package_folder("lang2vec") / "data")
    with suppress(OSError), atomic_path(kept) as draft:
        np.savez_compressed(draft, **table._asdict())
    return table


def _read_cached(path: Path) -> _Table:
    with np.load(path, allow_pickle=False) as kept:
        return _Table(**{field: kept[field] for field in _Table._fields})


def _read_lang2vec(folder: Path) -> _Table:
    with np.load(folder / "feature_predictions.npz", allow_pickle=False) as predicted:
        isos, names, values = (predicted[key] for key in ("langs", "feats", "data"))
    with np.load(folder / "features.npz", allow_pickle=False) as sources:
        # [language, feature, source], -1 where the source is silent.
        stated = (sources["data"] != -1).any(axis=2)
        if not (np.array_equal(sources["langs"], isos) and np.array_equal(sources["feats"], names)):
            raise DataError(f"{folder}: features.npz and feature_predictions.npz do not match")
    # Blocks lie mixed in the files: they are told apart by name, and keep their order within.
    columns = np.concatenate(
        [np.flatnonzero(np.char.startswith(names, prefix)) for prefix in BLOCKS.values()]
    )
    return _Table(isos, names[columns], values[:, columns, 0], stated[:, columns])
