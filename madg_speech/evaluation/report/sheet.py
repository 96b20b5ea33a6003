"""A table before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is read first.
        sort: what rows are ordered by; the text if None.
        small: what is read second, such as an interval.
        best: whether it is the best of its kind in the row.
    """

    text: str
    sort: float | None = None
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading, and whether its cells are numbers (set flush right)."""

    name: str
    number: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table: its title, what a reader must know of it, columns, and rows as long as these."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def percent(value: float | None, signed: bool = False) -> str:
    """A share in per cent with one decimal, or a dash."""
    if value is None:
        return "–"
    return f"{100 * value:+.1f}".replace("-", "−") if signed else f"{100 * value:.1f}"


def span(interval: Sequence[float] | None, signed: bool = False) -> str:
    """An interval of shares in per cent, or nothing."""
    if not interval:
        return ""
    return f"{percent(interval[0], signed)} to {percent(interval[1], signed)}"


def number(value: float | None, text: str) -> Cell:
    """A cell that shows ``text`` and is ordered by ``value``."""
    return Cell(text, None if value is None else float(value))
