"""How far a long piece of work is: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_PER_LINE = 30.0
"""What is over sooner leaves no line in a log."""

Item = TypeVar("Item")


@contextmanager
def progress(title: str, total: float) -> Iterator[Callable[[float], None]]:
    """Shows on stderr how much of ``total`` is done; yields the function that is told of each part.

    >>> with progress("frozen layers", total=12.5) as advance:
    ...     advance(12.5)
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda part: bar.advance(task, part)
    else:
        yield _Lines(title, total, console)


def track(items: Collection[Item], title: str) -> Iterator[Item]:
    """The items, with their progress shown."""
    with progress(title, len(items)) as advance:
        for item in items:
            yield item
            advance(1)


class _Lines:
    def __init__(self, title: str, total: float, console: Console):
        self.title, self.total, self.console = title, total, console
        self.began = self.said = time.monotonic()
        self.done = 0.0

    def __call__(self, part: float) -> None:
        self.done += part
        now = time.monotonic()
        if now - self.said < SECONDS_PER_LINE or not 0 < self.done < self.total:
            return
        self.said = now
        left = (now - self.began) * (self.total - self.done) / self.done
        self.console.print(
            f"{self.title}: {self.done / self.total:.0%}, {timedelta(seconds=round(left))} left"
        )
