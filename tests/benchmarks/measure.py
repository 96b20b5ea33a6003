"""How the benchmarks measure: one thread, processor time, both sides in turn, medians of ratios.

Processor time of one thread is what a busy machine disturbs least; ratios of neighbouring runs share
what disturbance is left.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from time import process_time


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        question: what was measured.
        measured: the number.
        unit: ``x`` for a ratio, ``ms``, ``GB``.
        goal: what it should be at most (at least, if ``at_least``); None where nothing is promised.
        detail: sizes, times on both sides.
        at_least: larger is better.
    """

    question: str
    measured: float
    unit: str
    goal: float | None
    detail: str
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        met = self.measured >= self.goal if self.at_least else self.measured <= self.goal
        return "met" if met else "MISSED"

    @property
    def cells(self) -> list[str]:
        sign = ">=" if self.at_least else "<="
        goal = "" if self.goal is None else f"{sign} {self.goal:g} {self.unit}"
        return [self.question, f"{self.measured:.3g} {self.unit}", goal, self.verdict, self.detail]


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, str]:
    """Median over rounds of ours/theirs, run in turn; and the two median times in words."""
    ours(), theirs()
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            second = cost(theirs)
            times.append((cost(ours), second))
        else:
            first = cost(ours)
            times.append((first, cost(theirs)))
    a, b = (median(side) * 1000 for side in zip(*times, strict=True))
    return median(x / y for x, y in times), f"{a:.0f} ms against {b:.0f} ms, {rounds} rounds"


def cost(compute: Callable[[], object]) -> float:
    """Processor seconds of one call, all threads."""
    start = process_time()
    compute()
    return process_time() - start


def machine() -> str:
    """The facts that numbers depend on; no names."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), one thread used; load average "
        f"{os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}, torch "
        f"{version('torch')}, transformers {version('transformers')}"
    )


def main(measure: Callable[[bool], list[Result]]) -> None:
    """Command line of one benchmark: ``--quick`` for few rounds and small batches."""
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few rounds, small batches")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(machine())
    for result in measure(quick):
        print("  |  ".join(result.cells))
