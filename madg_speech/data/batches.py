"""Which utterances make a batch: language-smoothed sampling, filled by seconds, bucketed by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np


def smoothed_shares(seconds: dict[str, float], exponent: float) -> dict[str, float]:
    """Probability of each language, p(l) ∝ seconds(l) ** exponent: 1 as it comes, 0 all equal."""
    weights = {language: amount**exponent for language, amount in seconds.items()}
    total = sum(weights.values())
    return {language: weight / total for language, weight in weights.items()}


class BatchPlan:
    """A fixed, endless order of batches, cut after ``batches``: a batch sampler for a DataLoader.

    Languages are drawn by smoothed share of audio; within a language every utterance comes once
    before any comes twice. Draws are collected for ``pool`` batches, sorted by length, cut where a
    batch (with its padding) would exceed its seconds, and shuffled: little padding, random order.
    The order depends on the arguments alone, so a resumed run sees what an unbroken one would.

    Args:
        seconds: length of each utterance.
        languages: language of each utterance.
        batches: how many batches to yield.
        seconds_per_batch: rows x longest row; a single longer utterance is a batch of its own.
        smoothing: exponent of :func:`smoothed_shares`.
        languages_per_batch: draw each batch from so many languages; None mixes freely.
        seed: order.
        pool: batches whose utterances are sorted together.
        shortest: seconds that any row takes up at least, by its padding.
    """

    def __init__(
        self,
        seconds: Sequence[float],
        languages: Sequence[str],
        batches: int,
        seconds_per_batch: float,
        smoothing: float = 0.5,
        languages_per_batch: int | None = None,
        seed: int = 0,
        pool: int = 8,
        shortest: float = 0.0,
    ):
        spoken = np.asarray(seconds, dtype=np.float64)
        self.seconds = np.maximum(spoken, shortest)
        self.members: dict[str, list[int]] = {}
        for i, language in enumerate(languages):
            self.members.setdefault(language, []).append(i)
        totals = {name: float(spoken[rows].sum()) for name, rows in self.members.items()}
        self.shares = smoothed_shares(totals, smoothing)
        self.batches = batches
        self.seconds_per_batch = seconds_per_batch
        self.languages_per_batch = languages_per_batch
        self.seed = seed
        self.pool = pool

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        return islice(self._endless(), self.batches)

    def _endless(self) -> Iterator[list[int]]:
        random = np.random.default_rng(self.seed)
        cycles = {
            name: _shuffled_cycle(rows, np.random.default_rng([self.seed, number]))
            for number, (name, rows) in enumerate(sorted(self.members.items()))
        }
        names = sorted(self.members)
        shares = np.array([self.shares[name] for name in names])
        while True:
            if self.languages_per_batch is None:
                pooled = self._draw(names, shares, cycles, self.pool, random)
            else:
                pooled = []
                for _ in range(self.pool):
                    count = min(self.languages_per_batch, len(names))
                    few = random.choice(len(names), size=count, replace=False, p=shares)
                    some = shares[few] / shares[few].sum()
                    pooled += self._draw([names[i] for i in few], some, cycles, 1, random)
            yield from (pooled[i] for i in random.permutation(len(pooled)))

    def _draw(
        self,
        names: Sequence[str],
        shares: np.ndarray,
        cycles: dict[str, Iterator[int]],
        batches: int,
        random: np.random.Generator,
    ) -> list[list[int]]:
        drawn: list[int] = []
        audio = 0.0
        while audio < batches * self.seconds_per_batch:
            drawn.append(next(cycles[names[random.choice(len(names), p=shares)]]))
            audio += self.seconds[drawn[-1]]
        return self._cut(sorted(drawn, key=lambda i: (self.seconds[i], i)))

    def _cut(self, ordered: list[int]) -> list[list[int]]:
        batches: list[list[int]] = [[]]
        for i in ordered:
            full = (len(batches[-1]) + 1) * self.seconds[i] > self.seconds_per_batch
            if full and batches[-1]:
                batches.append([])
            batches[-1].append(i)
        return batches


def _shuffled_cycle(rows: list[int], random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (rows[i] for i in random.permutation(len(rows)))
