"""How sure a score is: bootstrap over utterances and over clades, sign-flip tests between systems.

Languages of one clade are no independent draws: the clade is what is drawn (the pairs cluster bootstrap
of Cameron, Gelbach and Miller 2008) and whose sign is flipped (Fisher's randomisation test).
Utterances are drawn with one seed a language, so two systems see the same draws: differences are
paired.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Interval = tuple[float, float]

EXACT = 14  # clusters up to which all 2^n sign patterns are counted
RANDOM_FLIPS = 10_000
_CELLS = 4_000_000  # numbers held at once while resampling


@dataclass(frozen=True)
class Rate:
    """An error rate of one language, and what it became under resampled utterances.

    Attributes:
        value: all errors over all reference units.
        draws: [samples]; empty if no bootstrap was asked for.
        utterances: how many it was computed from.
    """

    value: float
    draws: Array
    utterances: int

    @classmethod
    def of(cls, errors: Sequence[int], lengths: Sequence[int], samples: int, language: str) -> Rate:
        """Pool the errors and lengths [n] of a language's utterances and resample them.

        Draws depend on ``language``, n and ``samples`` alone.
        """
        counted, units = np.asarray(errors, np.float64), np.asarray(lengths, np.float64)
        n = len(counted)
        random = np.random.default_rng(crc32(language.encode()))
        rows = max(1, _CELLS // n)
        draws = [np.empty(0)]
        for start in range(0, samples, rows):
            weights = random.multinomial(n, np.full(n, 1 / n), size=min(rows, samples - start))
            draws.append((weights @ counted) / (weights @ units))
        return cls(float(counted.sum() / units.sum()), np.concatenate(draws), n)

    @property
    def interval(self) -> Interval | None:
        """95 % percentile interval; None without draws or with a single utterance."""
        return _percentiles(self.draws) if self.utterances > 1 and len(self.draws) else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean over languages of (rate of a - rate of b); negative: a makes fewer errors.

    Attributes:
        mean: the difference.
        interval: 95 %, or None with fewer than two clusters.
        p: two-sided sign-flip test over clusters, or None with fewer than two.
        smallest_p: the least that this test can reach with so many clusters.
        detectable: the true difference found with 80 % power at the 5 % level: 2.8 standard errors.
        languages: how many.
        clusters: how many.
    """

    mean: float
    interval: Interval | None
    p: float | None
    smallest_p: float | None
    detectable: float | None
    languages: int
    clusters: int


def macro_interval(rates: Mapping[str, Rate], clusters: Mapping[str, Hashable]) -> Interval | None:
    """95 % interval of the mean over languages: clusters drawn with replacement, utterances within.

    None without draws, and with fewer than two clusters: nothing is then known of others.
    """
    means = _clustered_means({name: rate.draws for name, rate in rates.items()}, clusters)
    return None if means is None else _percentiles(means)


def paired_difference(
    a: Mapping[str, Rate], b: Mapping[str, Rate], clusters: Mapping[str, Hashable]
) -> Difference:
    """Compare two systems on the same utterances of the same languages.

    Raises:
        ValueError: the two do not hold the same languages with as many utterances, or none.
    """
    names = sorted(a)
    if not names or names != sorted(b) or any(a[n].utterances != b[n].utterances for n in names):
        raise ValueError("a paired comparison needs the same utterances of the same languages")
    differences = {name: a[name].value - b[name].value for name in names}
    mean = float(np.mean(list(differences.values())))
    means = _clustered_means({name: a[name].draws - b[name].draws for name in names}, clusters)
    sums: dict[Hashable, float] = {}
    for name in names:
        sums[clusters[name]] = sums.get(clusters[name], 0.0) + differences[name]
    p, smallest = sign_flip(list(sums.values())) if len(sums) > 1 else (None, None)
    return Difference(
        mean,
        None if means is None else _percentiles(means),
        p,
        smallest,
        None if means is None else float(2.8 * means.std()),
        len(names),
        len(sums),
    )


def sign_flip(differences: Sequence[float]) -> tuple[float, float]:
    """Two-sided p of a sum of independent differences [n] under flipped signs, and the least p possible.

    All 2^n patterns are counted up to ``EXACT``; beyond, ``RANDOM_FLIPS`` are drawn and the observed
    one is added.
    """
    values = np.asarray(differences, np.float64)
    n = len(values)
    observed = abs(values.sum()) - 1e-12 * np.abs(values).sum()  # ties are not lost to rounding
    if n <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        return float((np.abs(signs @ values) >= observed).mean()), 2.0 ** (1 - n)
    signs = np.random.default_rng(0).choice((1.0, -1.0), size=(RANDOM_FLIPS, n))
    extreme = int((np.abs(signs @ values) >= observed).sum())
    return (1 + extreme) / (1 + RANDOM_FLIPS), 1 / (1 + RANDOM_FLIPS)


def _clustered_means(draws: Mapping[str, Array], clusters: Mapping[str, Hashable]) -> Array | None:
    """Means over the languages of clusters drawn with replacement, one for each draw [samples]."""
    members: dict[Hashable, list[Array]] = {}
    for name in sorted(draws):
        members.setdefault(clusters[name], []).append(draws[name])
    samples = min((len(values) for values in draws.values()), default=0)
    count = len(members)
    if count < 2 or not samples:
        return None
    sums = np.stack([np.sum(values, axis=0) for values in members.values()], axis=1)
    sizes = np.array([len(values) for values in members.values()], np.float64)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=samples)
    means: Array = (weights * sums).sum(axis=1) / (weights @ sizes)
    return means


def _percentiles(values: Array) -> Interval:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
