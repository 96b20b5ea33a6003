"""A batch plan whose rows carry how often they were drawn before: what augmentation varies by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from madg_speech.data.batches import BatchPlan

Draw = tuple[int, int]  # row, times it was drawn before


class Draws:
    """The plan's batches as (row, times drawn before) pairs: a batch sampler for :class:`DrawnRows`.

    Counting happens before Accelerate splits the batches over processes or skips those of a resumed
    run, so neither changes the numbers.
    """

    def __init__(self, plan: BatchPlan):
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[list[Draw]]:
        seen: Counter[int] = Counter()
        for batch in self.plan:
            draws = []
            for row in batch:
                draws.append((row, seen[row]))
                seen[row] += 1
            yield draws


class DrawnRows(TorchDataset[dict[str, Any]]):
    """Rows of a corpus table with a ``draw`` column."""

    def __init__(self, table: Dataset):
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw]) -> list[dict[str, Any]]:
        """What a DataLoader asks for: one read of the table for a whole batch."""
        rows = self.table.__getitems__([row for row, _ in draws])
        return [row | {"draw": times} for row, (_, times) in zip(rows, draws, strict=True)]
