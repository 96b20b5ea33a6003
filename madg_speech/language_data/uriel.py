"""URIEL as lang2vec ships it: values and which of them were observed, read fast and cached."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madg_speech.cache import atomic_path, cache_dir
from madg_speech.errors import DataError
from madg_speech.language_data.tables import package_folder

BLOCKS = {"syntax": "S_", "phonology": "P_", "inventory": "INV_"}
"""The blocks in the order in which they stand in the vector, and their feature-name prefixes."""


class Table(NamedTuple):
    """URIEL as read: codes [n], feature names [289], values [n, 289] and which were observed."""

    isos: NDArray[np.str_]
    features: NDArray[np.str_]
    values: NDArray[np.float32]
    observed: NDArray[np.bool_]


@cache
def read_uriel() -> Table:
    """URIEL from the cache, or from lang2vec's files (0.6 s) with an attempt to cache it."""
    kept = cache_dir() / f"uriel-lang2vec-{version('lang2vec')}.npz"
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _read_cached(kept)
    table = _read_lang2vec(package_folder("lang2vec") / "data")
    with suppress(OSError), atomic_path(kept) as draft:
        np.savez_compressed(draft, **table._asdict())
    return table


def _read_cached(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as kept:
        return Table(**{field: kept[field] for field in Table._fields})


def _read_lang2vec(folder: Path) -> Table:
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
    return Table(isos, names[columns], values[:, columns, 0], stated[:, columns])
