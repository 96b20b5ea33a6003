"""Finished cells -> docs/zero-shot-study.md and its plots: python recipes/zero_shot_study/tables.py

Counts of an utterance are averaged over the seeds that a cell has, pooled over a language, averaged over
languages; intervals and tests go by clade. Only folds and seeds that all compared arms have are used.
"""

from __future__ import annotations

from collections.abc import Iterator

from cells import Cells, Place, difference, interval_of, macro
from curve import few_shot_section
from gains import gain_section, script_section
from other_arms import baseline_section, chosen_section, knowing_section, search_section
from plots import Bar, bars
from wording import COMPARED, DOCS, NAMES, compared, named, plot, with_interval

from madg_speech.cache import atomic_path
from madg_speech.languages import resolve
from madg_speech.splits import clade_of
from madg_speech.typology import observed_share

PAGE = DOCS / "zero-shot-study.md"
ONE_SEED = "none"  # the plan has it once a fold
CONTRASTS = (("two-stage", "shuffled"), ("two-stage", "static-long"), ("two-stage", "none"))


def main() -> None:
    """Write the page from what is finished."""
    cells = Cells()
    parts = [
        "# Does typology help? Results\n",
        "Made by `python recipes/zero_shot_study/tables.py` from the finished cells in "
        "`recipes/zero_shot_study/results/`; the plan, committed before the first cell, is "
        "`recipes/zero_shot_study/README.md`. Whisper-base, frozen; adapters in the top two layers; "
        "romanised CER, greedy; leaked utterances dropped; every test language's clade was in no "
        "training of the cell that transcribed it. Speaker and language are confounded (often one "
        "speaker a language).\n",
        *_overview(cells),
        *_contrasts(cells),
        *gain_section(cells),
        *script_section(cells),
        *baseline_section(cells),
        *knowing_section(cells),
        *_swaps(cells),
        *search_section(cells),
        *chosen_section(cells),
        *few_shot_section(cells),
        *_languages(cells),
        *_rates_grid(cells),
    ]
    with atomic_path(PAGE) as draft:
        draft.write_text("\n".join(parts) + "\n", "utf-8")
    print(PAGE)


def _places(cells: Cells) -> dict[str, list[Place]]:
    """Arm -> the folds and seeds that all arms of several seeds have; its own for the other one."""
    arms = [arm for arm in NAMES if cells.shared([arm])]
    together = cells.shared([arm for arm in arms if arm != ONE_SEED])
    if not together:
        return {}
    return {arm: cells.shared([arm]) if arm == ONE_SEED else together for arm in arms}


def _overview(cells: Cells) -> Iterator[str]:
    places_of = _places(cells)
    if not places_of:
        return
    yield "## Arms\n\nMacro CER over the folds and seeds (a0: fold a, seed 0) that all arms but"
    yield "the first have.\n"
    titles = ("primary, unseen clades", "single words, unseen", "trained languages", "dev")
    yield f"| arm | trainable | cells | {' | '.join(titles)} |"
    yield "|---|---|---|---|---|---|---|"
    drawn = []
    for arm, places in places_of.items():
        trainable = cells.cells[*places[0], arm]["trainable"]
        found = [
            cells.rates(arm, split, subset, places)
            for split, subset in (
                ("test", "primary"),
                ("test", "words"),
                ("seen", "primary"),
                ("dev", "primary"),
            )
        ]
        row = " | ".join(map(with_interval, found))
        yield f"| {NAMES[arm]} | {trainable / 1e6:.2f} M | {named(places)} | {row} |"
        if found[0] and found[2]:
            both = (found[2], found[0])
            values, intervals = [macro(r) for r in both], [interval_of(r) for r in both]
            drawn.append(
                Bar(NAMES[arm].strip("*"), (values[0], values[1]), (intervals[0], intervals[1]))
            )
    if drawn:
        title = "Macro CER of trained and of unseen languages, by arm"
        picture = bars(drawn, ("trained languages", "unseen clades (primary set)"), title)
        yield plot("arms", picture, f"{title}.")
    yield ""


def _contrasts(cells: Cells) -> Iterator[str]:
    yield "## Contrasts\n\nDifference of macro CER on the primary set, true vectors minus the other arm;"
    yield "negative: the true vectors are better. 95 %: bootstrap over clades, then utterances. p: sign"
    yield "flips over clades. Detectable: the true difference found with 80 % power.\n"
    yield f"| against | cells | {COMPARED} |"
    yield "|---|---|---|---|---|---|---|"
    for a, b in CONTRASTS:
        places = cells.shared([a, b])
        if places:
            one, other = (cells.rates(arm, "test", "primary", places) for arm in (a, b))
            yield f"| {NAMES[b]} | {named(places)} | {compared(difference(one, other))} |"
    if places := cells.shared(["two-stage"], swap="mean"):
        own, mean = (
            cells.rates("two-stage", "test", "primary", places, swap) for swap in ("own", "mean")
        )
        name = "the same cells, mean vector's adapter for all"
        yield f"| {name} | {named(places)} | {compared(difference(own, mean))} |"
    yield ""


def _swaps(cells: Cells) -> Iterator[str]:
    places = cells.shared(["two-stage"])
    if not places:
        return
    yield "## Test-time swaps in the two-stage cells\n\nNothing is trained again: `mean` is the static"
    yield "part alone, `scaled-0.5` half the generated part, `nearest` the nearest trained language,"
    yield "`same-clade` and `other-family` a wrong language, `english` English for all. A swap is shown"
    yield "beside `own` of the cells that have it.\n"
    arms = [arm for arm in ("two-stage", "shuffled") if cells.shared([arm])]
    swaps = dict.fromkeys(
        swap
        for (_, _, arm), cell in cells.cells.items()
        if arm in arms
        for swap in cell["errors"].get("test", {})
    )
    columns = " | ".join(f"{arm}: primary (own) | {arm}: dev (own)" for arm in arms)
    yield f"| adapter | {columns} |"
    yield "|---|" + "---|---|" * len(arms)
    for swap in swaps:
        row = []
        for arm in arms:
            for split in ("test", "dev"):
                there = cells.shared([arm], split, swap)
                shown = [
                    macro(cells.rates(arm, split, "primary", there, kind))
                    for kind in (swap, "own")
                    if there and cells.rates(arm, split, "primary", there, kind)
                ]
                row.append(f"{shown[0]:.3f} ({shown[1]:.3f})" if shown else "")
        yield f"| {swap} | " + " | ".join(row) + " |"
    yield ""


def _languages(cells: Cells) -> Iterator[str]:
    places_of = _places(cells)
    if not places_of:
        return
    arms = list(places_of)
    yield "## Languages of the primary set\n"
    yield "| language | clade | nearest trained (distance) | observed | " + " | ".join(arms) + " |"
    yield "|---|---|---|---|" + "---|" * len(arms)
    per_arm = {
        arm: cells.rates(arm, "test", "primary", places) for arm, places in places_of.items()
    }
    for language in sorted(per_arm[arms[0]], key=lambda name: (clade_of(name), name)):
        near, distance = cells.distance(language)
        values = " | ".join(f"{per_arm[arm][language].value:.3f}" for arm in arms)
        yield (
            f"| {resolve(language).name} ({language}) | {clade_of(language)[-1]} "
            f"| {near} ({distance:.2f}) | {observed_share(language):.0%} | {values} |"
        )
    yield ""


def _rates_grid(cells: Cells) -> Iterator[str]:
    grid = [
        (arm, cells.cells["a", 0, arm])
        for arm in ("static", "static-slow", "static-long", "static-long-slow", "two-stage",
                    "two-stage-slow", "shuffled", "shuffled-slow")
        if ("a", 0, arm) in cells.cells
    ]  # fmt: skip
    if not any(arm.endswith("slow") for arm, _ in grid):
        return
    yield "## Learning rates\n\nDev CER of fold a, seed 0, at each look during training.\n"
    yield "| arm | rate | dev CER |\n|---|---|---|"
    for arm, cell in grid:
        looks = ", ".join(f"{value:.3f}" for value in cell["dev_cer_during_training"])
        yield f"| {arm} | {cell['config']['training']['learning_rate']:g} | {looks} |"


if __name__ == "__main__":
    main()
