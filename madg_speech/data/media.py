"""Speech and text in turn: which medium a step takes, and the batches of both as one stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch.utils.data import Dataset as TorchDataset

from madg_speech.checkpoint import Medium
from madg_speech.data.batches import BatchPlan
from madg_speech.data.draws import Draw, DrawnRows, Draws

MediumDraw = tuple[Medium, Draw]


def alternate(steps: int, text_share: float) -> list[Medium]:
    """The medium of each step, text as evenly spread as can be: at ½ speech, text, speech ...

    Of any first n steps ⌊n · text_share⌋ take text.
    """
    texts = [int(step * text_share) for step in range(steps + 1)]
    return ["text" if after > before else "speech" for before, after in pairwise(texts)]


class MediaDraws:
    """Draws of the medium that each batch is to have: a batch sampler for :class:`MediaRows`.

    Args:
        plans: of each medium.
        media: that of each batch.
    """

    def __init__(self, plans: Mapping[Medium, BatchPlan], media: Sequence[Medium]):
        self.plans = plans
        self.media = media

    def __len__(self) -> int:
        return len(self.media)

    def __iter__(self) -> Iterator[list[MediumDraw]]:
        draws = {medium: iter(Draws(plan)) for medium, plan in self.plans.items()}
        for medium in self.media:
            yield [(medium, draw) for draw in next(draws[medium])]


class MediaRows(TorchDataset[dict[str, Any]]):
    """Rows of both media's tables with the columns ``draw`` and ``medium``."""

    def __init__(self, tables: Mapping[Medium, Any]):
        self.rows = {medium: DrawnRows(table) for medium, table in tables.items()}

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def __getitem__(self, draw: MediumDraw) -> dict[str, Any]:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[MediumDraw]) -> list[dict[str, Any]]:
        """A whole batch, which is of one medium."""
        medium = draws[0][0]
        rows = self.rows[medium].__getitems__([draw for _, draw in draws])
        return [row | {"medium": medium} for row in rows]


@dataclass(frozen=True)
class MediaCollator:
    """Rows of one medium -> ``medium``, its collator's ``labels``, and ``batch``: all else of it."""

    collators: Mapping[Medium, Any]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch."""
        medium = rows[0]["medium"]
        batch: dict[str, Any] = self.collators[medium](rows)
        return {"medium": medium, "labels": batch.pop("labels"), "batch": batch}
