"""Arms beside the primary ones: other sources of weights, and the search on development languages."""

from __future__ import annotations

from collections.abc import Iterator

from cells import SAMPLES, Cells, Rates, difference, macro
from folds import read_plan
from wording import COMPARED, NAMES, about, compared, named

from madg_speech.metrics.bootstrap import Rate

DEV = ["dev", "seen"]  # what a pass scores that looks at no tested language
KNOWN = ("static-long", "shuffled", "two-stage")
OTHER = ("lineage-geography", "random", "shuffled")  # what is no typology
BY_RULE = ("per-language", "language-id")
RULES = {
    "own": "mean of all",
    "nearest": "nearest",
    "clade-mean": "clade mean",
    "weighted": "weighted (TIPA)",
}


def baseline_section(cells: Cells) -> Iterator[str]:
    """Each source beside the two-stage cells of the same folds and seeds."""
    lines = []
    for arm in _arms("baselines"):
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


def knowing_section(cells: Cells) -> Iterator[str]:
    """Each source with what it knows of a language, beside itself without: does that help?"""
    generated = ("two-stage", "madg-ls", "madg", *_arms("chosen"), *OTHER)
    pairs = [(arm, "own", "mean") for arm in generated]
    pairs += [
        (arm, rule, "own") for arm in BY_RULE for rule in ("weighted", "clade-mean", "nearest")
    ]
    lines = []
    for arm, knowing, blind in pairs:
        places = [
            p for p in cells.shared([arm], swap=knowing) if p in cells.shared([arm], swap=blind)
        ]
        if not places:
            continue
        own, mean = (cells.rates(arm, "test", "primary", places, s) for s in (knowing, blind))
        name = f"`{arm}`" + ("" if knowing == "own" else f", {RULES[knowing]}")
        lines.append(
            f"| {name} | {named(places)} | {macro(own):.3f} | {macro(mean):.3f} "
            f"| {compared(difference(own, mean))} |"
        )
    if lines:
        yield "## Knowing the language, or not\n\nEach source with the language's own vector beside itself"
        yield "with the mean vector's adapter (`per-language`, `language-id`: a rule beside the plain mean"
        yield "of all trained languages), nothing trained again; negative: it helps to know the language.\n"
        yield f"| source | cells | knowing | not knowing | {COMPARED} |"
        yield "|---|---|---|---|---|---|---|---|---|"
        yield from lines
        yield ""


def search_section(cells: Cells) -> Iterator[str]:
    """Variants of the two stages, scored on the dev languages of fold a."""
    passes = read_plan()["passes"]
    searches = [part for parts in passes.values() for part in parts if part.get("sets") == DEV]
    arms = [a for part in searches for a in part["arms"] if cells.shared([a], "dev")]
    if not arms:
        return
    known = [*KNOWN, *passes["baselines"][0]["arms"]]
    yield "## The search, on development languages\n\nFold a, seed 0. All dev utterances, words included;"
    yield "static part: the same cell with the mean vector's adapter. The sources above come first. Test"
    yield "was filled in once, when the search was over.\n"
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
    for arm in _arms("chosen"):
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


def _arms(name: str) -> list[str]:
    """Of a pass of the plan."""
    return [arm for part in read_plan()["passes"][name] for arm in part["arms"]]


def _pooled(cells: Cells, arm: str, split: str, swap: str) -> Rates:
    """Words and sentences of fold a together: a dev set is too small to be told apart."""
    counts = cells.cells["a", 0, arm]["errors"][split][swap]
    sets = cells.folds["a"]["sets"][split]
    return {
        name: Rate.of(counts[name][0], entry["chars"], SAMPLES, name)
        for name, entry in sets.items()
    }
