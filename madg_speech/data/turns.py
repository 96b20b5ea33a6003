"""Which sentences make a batch of a task: one source language a step, drawn uniformly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class Turns:
    """A fixed order of batches, each of one language: a batch sampler for a DataLoader.

    The language of each batch is drawn with equal probability for all, whatever their size (Ansell et
    al. 2021, multi-source training); within a language every sentence comes once before any comes
    twice. The order depends on the arguments alone, so a resumed run sees what an unbroken one would.

    Args:
        languages: language of each sentence.
        batches: how many batches to yield.
        sentences: in a batch.
        seed: order.
    """

    def __init__(self, languages: Sequence[str], batches: int, sentences: int, seed: int = 0):
        self.members: dict[str, list[int]] = {}
        for row, language in enumerate(languages):
            self.members.setdefault(language, []).append(row)
        self.batches, self.sentences, self.seed = batches, sentences, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng(self.seed)
        names = sorted(self.members)
        cycles = {
            name: _cycle(self.members[name], np.random.default_rng([self.seed, number]))
            for number, name in enumerate(names)
        }
        for _ in range(self.batches):
            cycle = cycles[names[random.integers(len(names))]]
            yield [next(cycle) for _ in range(self.sentences)]


def _cycle(rows: Sequence[int], random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (rows[i] for i in random.permutation(len(rows)))
