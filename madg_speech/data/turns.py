"""Which sentences make a batch of a task: one source language a step, drawn uniformly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np


class Turns:
    """A fixed order of batches, each of one language: a batch sampler for a DataLoader.

    The language of each batch is drawn with equal probability for all, whatever their size (Ansell et
    al. 2021, multi-source training); within a language every sentence comes once before any comes
    twice. Sentences are drawn for several batches of a language at once and sorted by length: little
    padding. The order depends on the arguments alone, so a resumed run sees what an unbroken one would.

    Args:
        languages: language of each sentence.
        lengths: of each sentence, in words.
        batches: how many batches to yield.
        sentences: in a batch.
        seed: order.
        pool: batches whose sentences are sorted together, if the language has so many.
    """

    def __init__(
        self,
        languages: Sequence[str],
        lengths: Sequence[int],
        batches: int,
        sentences: int,
        seed: int = 0,
        pool: int = 8,
    ):
        self.members: dict[str, list[int]] = {}
        for row, language in enumerate(languages):
            self.members.setdefault(language, []).append(row)
        self.lengths, self.batches, self.sentences = lengths, batches, sentences
        self.seed, self.pool = seed, pool

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng(self.seed)
        names = sorted(self.members)
        turns = {
            name: self._of_one(self.members[name], np.random.default_rng([self.seed, number]))
            for number, name in enumerate(names)
        }
        for _ in range(self.batches):
            yield next(turns[names[random.integers(len(names))]])

    def _of_one(self, rows: Sequence[int], random: np.random.Generator) -> Iterator[list[int]]:
        size = self.sentences
        pool = max(1, min(self.pool, len(rows) // size))
        cycle = _cycle(rows, random)
        while True:
            drawn = sorted(islice(cycle, pool * size), key=lambda row: (self.lengths[row], row))
            yield from (drawn[at * size : (at + 1) * size] for at in random.permutation(pool))


def _cycle(rows: Sequence[int], random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (rows[i] for i in random.permutation(len(rows)))
