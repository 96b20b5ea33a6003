"""URIEL+ (Khan et al., COLING 2025): what it states beyond URIEL, from the urielplus wheel's tables.

Its API copies files into its own package folder and takes minutes, so the tables are read here: Grambank
(174 features that URIEL lacks, 22 that it has) and SAPhon's newer phonologies. APiCS (creoles), eWAVE
(Englishes) and BDPROTO (reconstructed languages) are left out, and the rules that infer one feature
from others are not applied.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madg_speech.language_data.tables import package_folder
from madg_speech.language_data.uriel import read_uriel


class Stated(NamedTuple):
    """What the added sources say.

    Attributes:
        features: URIEL's 289 in their order, then Grambank's own.
        values: ISO code -> float32 [features], 0 or 1, NaN where nothing is stated.
    """

    features: tuple[str, ...]
    values: dict[str, NDArray[np.float32]]


@cache
def read_stated() -> Stated:
    """Read the tables (half a second)."""
    folder = package_folder("urielplus") / "database" / "urielplus_csvs"
    with (folder / "uriel_glottocode_map.csv").open(encoding="utf-8", newline="") as lines:
        isos = defaultdict(list)
        for row in csv.DictReader(lines):
            isos[row["glottocode"]].append(row["iso_code"])
    tables = []
    for name in ("saphon_data.csv", "grambank_data.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as lines:
            tables.append(list(csv.DictReader(lines)))
    saphon, grambank = tables
    uriel = read_uriel().features.tolist()
    features = list(dict.fromkeys([*uriel, *(f for f in grambank[0] if f != "language_id")]))
    place = {name: i for i, name in enumerate(features)}
    values: dict[str, NDArray[np.float32]] = {}
    for row in [*saphon, *grambank]:
        code = row.get("language_id") or row["glottocode"]
        stated = {place[f]: float(v) for f, v in row.items() if f in place and float(v) >= 0}
        for iso in isos[code]:
            vector = values.setdefault(iso, np.full(len(features), np.nan, np.float32))
            vector[list(stated)] = list(stated.values())
    return Stated(tuple(features), values)
