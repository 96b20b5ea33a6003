"""The vectors that can condition a generator beside URIEL's: other knowledge, and controls.

But for ``uriel`` itself, the vectors are scaled so that those of the training languages vary as much
in total as their URIEL vectors do: no conditioning learns faster for being larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from madg_speech.config.source import TypologyConfig, UnseenConfig
from madg_speech.kin import shares
from madg_speech.language_data.tables import places
from madg_speech.language_data.uriel import BLOCKS, read_uriel
from madg_speech.language_data.urielplus import read_stated
from madg_speech.languages import Language, resolve
from madg_speech.shuffling import draw_permutation
from madg_speech.typology import Floats, Typology, described_by, load_typology, observed_features


def settle_permutation(config: TypologyConfig, languages: Iterable[str]) -> TypologyConfig:
    """The configuration with its permutation drawn, over ``languages`` and those that it names.

    Unchanged where nothing is to be shuffled, or the permutation is there.

    Raises:
        DataError, UnknownLanguageError: as :func:`madg_speech.shuffling.draw_permutation`.
    """
    if config.shuffle == "none" or config.permutation is not None:
        return config
    permutation = draw_permutation(
        {*languages, *config.languages}, config.seed, config.shuffle == "family"
    )
    return config.model_copy(update={"permutation": permutation})


def build_typology(
    config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig | None = None
) -> Typology:
    """The vectors that a configuration names.

    - ``uriel``; ``syntax``, ``phonology``, ``inventory``: all 289 features, or one block of them.
    - ``observed``: each value where a source states it, else 0, then which are stated (2 x 289).
    - ``uriel+``: 463 features; those of :mod:`madg_speech.language_data.urielplus`, gaps filled with
      URIEL's value, or else the mean of the innermost clade that has one, or of all languages.
    - ``lineage+geography``: one feature for each Glottolog clade of a training language, then the
      place on the unit sphere (cos φ cos λ, cos φ sin λ, sin φ), zeros where it is unknown.
    - ``random``: each feature drawn for each language by URIEL's frequency of that feature.
    - ``language-id``: one feature for each training language, so that V holds a learned embedding
      for each; other languages are mixed of them as ``unseen`` says.

    Args:
        config: its permutation settled, if it shuffles.
        trained: training languages.
        unseen: used by ``language-id`` alone.

    Raises:
        UnknownLanguageError: a training language without a vector.
    """
    permutation = config.permutation or {}
    sources = [permutation.get(language, language) for language in trained]
    if config.name == "uriel":
        typology = load_typology()
    else:
        typology = _MAKERS[config.name](config, sources, unseen or UnseenConfig())
        typology = _scaled(typology, sources)
    return typology.exchanged(permutation) if permutation else typology


class _Rows(Mapping[str, Floats]):
    """A vector for every language that URIEL has, made when it is asked for."""

    def __init__(self, make: Callable[[str], Floats]):
        self._make = make

    def __getitem__(self, iso: str) -> Floats:
        if iso not in places():
            raise KeyError(iso)
        return self._make(iso)

    def __contains__(self, iso: object) -> bool:
        return iso in places()

    def __iter__(self) -> Iterator[str]:
        return iter(places())

    def __len__(self) -> int:
        return len(places())


def _scaled(typology: Typology, languages: Sequence[str]) -> Typology:
    own, uriel = (
        (float(table.vectors(languages).var(axis=0).sum()) for table in (typology, load_typology()))
        if languages
        else (0.0, 0.0)
    )
    factor = np.float32((uriel / own) ** 0.5 if own and uriel else 1.0)
    rows = _Rows(lambda iso: typology.vectors([iso])[0] * factor)
    return Typology(typology.name, typology.feature_names, rows)


def _block(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    uriel = load_typology()
    chosen = [n for n, f in enumerate(uriel.feature_names) if f.startswith(BLOCKS[config.name])]
    names = [uriel.feature_names[n] for n in chosen]
    return Typology(config.name, names, _Rows(lambda iso: uriel.vectors([iso])[0, chosen]))


def _observed(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    uriel = load_typology()

    def make(iso: str) -> Floats:
        stated = observed_features(iso)
        return np.concatenate([uriel.vectors([iso])[0] * stated, stated]).astype(np.float32)

    names = [*uriel.feature_names, *(f"{name} observed" for name in uriel.feature_names)]
    return Typology(config.name, names, _Rows(make))


def _urielplus(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    stated, uriel = read_stated(), load_typology()
    unknown = np.full(len(stated.features), np.nan, np.float32)
    members: dict[str, list[Floats]] = {"": list(stated.values.values())}  # "" holds them all
    for iso, vector in stated.values.items():
        for clade in resolve(iso).lineage:
            members.setdefault(clade, []).append(vector)

    @cache
    def mean(clade: str) -> Floats:
        values = np.stack(members.get(clade, [unknown]))
        count = (~np.isnan(values)).sum(axis=0)
        total = np.nansum(values, axis=0)
        averages: Floats = np.divide(total, count, out=unknown.copy(), where=count > 0)
        return averages

    def make(iso: str) -> Floats:
        vector = stated.values.get(iso, stated.values.get(described_by(iso), unknown))
        imputed = unknown.copy()
        imputed[: uriel.dim] = uriel.vectors([iso])[0]
        clades = [*reversed(resolve(iso).lineage), ""]
        for values in (imputed, *map(mean, clades)):
            vector = np.where(np.isnan(vector), values, vector)
        return vector

    return Typology(config.name, stated.features, _Rows(make))


def _lineage(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    clades = sorted({clade for iso in trained for clade in resolve(iso).lineage})

    def make(iso: str) -> Floats:
        language = resolve(iso)
        member = [float(clade in language.lineage) for clade in clades]
        return np.array([*member, *_on_the_sphere(language)], np.float32)

    return Typology(config.name, [*clades, "x", "y", "z"], _Rows(make))


def _on_the_sphere(language: Language) -> tuple[float, float, float]:
    if language.latitude is None or language.longitude is None:
        return 0.0, 0.0, 0.0
    north, east = np.radians([language.latitude, language.longitude])
    return np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)


def _random(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    uriel = read_uriel()
    frequency = uriel.values.mean(axis=0)

    def make(iso: str) -> Floats:
        draws = np.random.default_rng([config.seed, *iso.encode()]).random(len(frequency))
        return np.asarray(draws < frequency, np.float32)

    return Typology(config.name, uriel.features.tolist(), _Rows(make))


def _language_id(config: TypologyConfig, trained: Sequence[str], unseen: UnseenConfig) -> Typology:
    uriel = load_typology()
    return Typology(config.name, trained, _Rows(lambda iso: shares(iso, trained, unseen, uriel)))


_MAKERS = {
    "syntax": _block,
    "phonology": _block,
    "inventory": _block,
    "observed": _observed,
    "uriel+": _urielplus,
    "lineage+geography": _lineage,
    "random": _random,
    "language-id": _language_id,
}
