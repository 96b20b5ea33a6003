"""Arms beside the primary ones: other sources of weights, and the search on development languages."""

from __future__ import annotations

from collections.abc import Iterator

from cells import SAMPLES, Cells, Rates, difference, macro
from folds import read_plan
from wording import COMPARED, NAMES, about, compared, named

from madg_speech.metrics.bootstrap import Rate

RULES = {
    "own": "mean of all",
    "nearest": "nearest",
    "clade-mean": "clade mean",
    "weighted": "weighted (TIPA)",
}


def baseline_section(cells: Cells) -> Iterator[str]:
    """Each source beside the two-stage cells of the same folds and seeds."""
    arms = [arm for part in read_plan()["passes"]["baselines"] for arm in part["arms"]]
    lines = []
    for arm in arms:
        swaps = RULES if cells.shared([arm], swap="weighted") else {"own": ""}
        for swap, rule in swaps.items():
            places = [p for p in cells.shared([arm], swap=swap) if p in cells.shared(["two-stage"])]
            if not places:
                continue
            theirs = cells.rates(arm, "test", "primary", places, swap)
            ours = cells.rates("two-stage", "test", "primary", places)
            trainable = cells.cells[*places[0], arm]["trainable"] / 1e6
            lines.append(
                f"| {about(arm)}{f' Unseen: {rule}.' if rule else ''} "
                f"| {trainable:.2f} M | {named(places)} "
                f"| {macro(theirs):.3f} | {macro(ours):.3f} | {compared(difference(ours, theirs))} |"
            )
    if lines:
        yield "## Other sources of weights\n\nEach on the primary set, beside the two-stage cells of"
        yield "the same folds and seeds; difference as above: negative, the two-stage cells are better.\n"
        yield f"| source | trainable | cells | CER | two-stage | {COMPARED} |"
        yield "|---|---|---|---|---|---|---|---|---|---|"
        yield from lines
        yield ""


def search_section(cells: Cells) -> Iterator[str]:
    """Variants of the two stages, scored on the dev languages of fold a."""
    part = read_plan()["passes"]["search"][0]
    arms = [arm for arm in part["arms"] if cells.shared([arm], "dev")]
    if not arms:
        return
    known = [arm for arm in ("static-long", "shuffled", "two-stage") if cells.shared([arm], "dev")]
    yield "## The search, on development languages\n\nFold a, seed 0. All dev utterances, words included;"
    yield "static part: the same cell with the mean vector's adapter. Test is filled in once, when the"
    yield "search is over.\n"
    yield "| arm | dev CER | its static part | difference | trained languages | test, primary |"
    yield "|---|---|---|---|---|---|"
    place = [("a", 0)]
    for arm in [*known, *arms]:
        cell = cells.cells.get(("a", 0, arm))
        if cell is None or "dev" not in cell["errors"]:
            continue
        whole = _pooled(cells, arm, "dev", "own")
        shared = _pooled(cells, arm, "dev", "mean") if "mean" in cell["errors"]["dev"] else None
        test = (
            macro(cells.rates(arm, "test", "primary", place)) if "test" in cell["errors"] else None
        )
        name = NAMES.get(arm) or about(arm)
        yield (
            f"| {name} | {macro(whole):.3f} | {f'{macro(shared):.3f}' if shared else ''} "
            f"| {f'{macro(whole) - macro(shared):+.3f}' if shared else ''} "
            f"| {macro(cells.rates(arm, 'seen', 'primary', place)):.3f} | {f'{test:.3f}' if test else ''} |"
        )
    yield ""


def chosen_section(cells: Cells) -> Iterator[str]:
    """What development languages chose, on the tested languages of all folds."""
    lines = []
    for arm in [arm for part in read_plan()["passes"]["chosen"] for arm in part["arms"]]:
        for rival in ("two-stage", "shuffled", "static-long"):
            if not (places := cells.shared([arm, rival])):
                continue
            ours, theirs = (cells.rates(a, "test", "primary", places) for a in (arm, rival))
            lines.append(
                f"| `{arm}` | {NAMES[rival]} | {named(places)} | {macro(ours):.3f} | {macro(theirs):.3f} "
                f"| {compared(difference(ours, theirs))} |"
            )
    if lines:
        yield "### What was chosen, tested\n\nPrimary set; negative: the arm of the search is better.\n"
        yield f"| arm | against | cells | CER | its | {COMPARED} |"
        yield "|---|---|---|---|---|---|---|---|---|---|"
        yield from lines
        yield ""


def _pooled(cells: Cells, arm: str, split: str, swap: str) -> Rates:
    """Words and sentences of fold a together: a dev set is too small to be told apart."""
    counts = cells.cells["a", 0, arm]["errors"][split][swap]
    sets = cells.folds["a"]["sets"][split]
    return {
        name: Rate.of(counts[name][0], entry["chars"], SAMPLES, name)
        for name, entry in sets.items()
    }
