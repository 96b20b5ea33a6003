"""Where a plot's marks and words go: the drawing area, round numbers for axes, room for labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10

Spot = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A picture of ``width`` x ``height``, and the edges between which the data lie."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def free_label(self, spot: Spot, taken: list[Spot], marks: Iterable[Spot]) -> Spot | None:
        """Where a code of three letters fits beside its mark without covering another; None if nowhere."""
        x, y = spot
        others = [mark for mark in marks if mark != spot]
        for at in ((x + 7, y + 3.5), (x - 25, y + 3.5), (x - 9, y - 7), (x - 9, y + 14)):
            inside = (
                at[0] >= self.left
                and at[0] + 18 <= self.width
                and self.top - 6 <= at[1] <= self.bottom
            )
            clear = all(abs(at[0] - a) > 20 or abs(at[1] - b) > 9 for a, b in taken)
            bare = all(not (-4 < a - at[0] < 22 and -13 < b - at[1] < 5) for a, b in others)
            if inside and clear and bare:
                return at
        return None


def ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers that enclose ``low`` and ``high``."""
    size = max(high - low, 1e-6)
    power: float = 10.0 ** floor(log10(size / 4))
    step = next(power * k for k in (1, 2, 5, 10) if size / (power * k) <= 5)
    first, last = floor(low / step + 1e-9), -floor(-high / step + 1e-9)
    return [step * i for i in range(first, last + 1)]


def short(value: float) -> str:
    """A tick's number, with a true minus sign."""
    return f"{value:.6g}".replace("-", "−")
