"""Counts that add up: every score of a task is one minus errors over length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Errors and what they are counted against, of a sentence or of many.

    For an F1 over things expected and things predicted, ``errors`` are those in one but not in the
    other and ``length`` is the number of both, so that the score below is 2·correct/length.
    """

    errors: int
    length: int

    @property
    def score(self) -> float | None:
        """From 0 to 1; None where there was nothing to score."""
        return 1 - self.errors / self.length if self.length else None

    @classmethod
    def of_f1(cls, correct: int, expected: int, predicted: int) -> Tally:
        """The tally whose score is the F1 of these counts."""
        return cls(expected + predicted - 2 * correct, expected + predicted)


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Errors and lengths summed."""
    counted = list(tallies)
    return Tally(sum(t.errors for t in counted), sum(t.length for t in counted))
