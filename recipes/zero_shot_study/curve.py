"""The few-shot curve: what minutes of a held-out language are worth, from each start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cells import Cells
from folds import read_plan
from plots import curves
from wording import plot


def few_shot_section(cells: Cells) -> Iterator[str]:
    """Table and plot; nothing before the first cell of the curve."""
    if not cells.few_shot:
        return
    plan = read_plan()["few_shot"]
    languages = list(plan["languages"].values())
    yield "## Few-shot\n\nAn adapter refined on minutes of transcribed audio of a language whose clade was"
    yield "held out, from four starts (0 minutes: the cell as it is); CER of its test sentences.\n"
    yield "| start | minutes | " + " | ".join(languages) + " | mean |"
    yield "|---|---|" + "---|" * (len(languages) + 1)
    whole: dict[str, dict[float, float]] = {}
    for start in plan["starts"]:
        for minutes in (0, *plan["steps"]):
            found = {
                language: rate
                for fold, language in plan["languages"].items()
                if (rate := _rate(cells, plan, fold, language, minutes, start)) is not None
            }
            if not found:
                continue
            values = [f"{found[name]:.3f}" if name in found else "" for name in languages]
            mean = ""
            if len(found) == len(languages):
                whole.setdefault(start, {})[minutes] = float(np.mean(list(found.values())))
                mean = f"{whole[start][minutes]:.3f}"
            yield f"| {start} | {minutes} | " + " | ".join(values) + f" | {mean} |"
    if whole:
        title = f"CER after minutes of transcribed speech, mean of {', '.join(languages)}"
        picture = curves(whole, "minutes of transcribed speech", "character error rate", title)
        yield plot("few-shot", picture, f"{title}.")
    yield ""


def _rate(
    cells: Cells, plan: dict[str, Any], fold: str, language: str, minutes: int, start: str
) -> float | None:
    """CER of the language's test sentences, mean over finished seeds; None if there are none."""
    kept, lengths = cells.references(fold, "test", language, "primary")
    how = plan["starts"][start]
    rates = []
    for seed in plan["seeds"]:
        cell = cells.few_shot.get(f"{fold}-{seed}-{language}-{minutes}-{start}")
        if minutes == 0 and how["start"] != "random":
            cell = cells.cells.get((fold, seed, how["cell"]))
        if cell is not None:
            counts = cell["errors"]["test"]["own"][language][0]
            rates.append(sum(counts[i] for i in kept) / sum(lengths))
    return float(np.mean(rates)) if rates else None
