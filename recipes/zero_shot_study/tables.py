"""Finished cells -> docs/zero-shot-study.md: python recipes/zero_shot_study/tables.py

Counts of an utterance are averaged over the seeds that a cell has, pooled over a language, averaged over
languages; intervals and tests go by clade. Only folds and seeds that all compared arms have are used.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from folds import HERE

from madg_speech.cache import atomic_path
from madg_speech.languages import resolve
from madg_speech.metrics.bootstrap import Rate, macro_interval, paired_difference
from madg_speech.splits import clade_of
from madg_speech.typology import nearest, observed_share

PAGE = HERE.parent.parent / "docs" / "zero-shot-study.md"
SAMPLES = 2000
NAMES = {
    "none": "no adapter (head only)",
    "static": "static, stage one",
    "static-long": "static, trained on as long",
    "two-stage": "**two-stage, true vectors**",
    "shuffled": "two-stage, shuffled vectors",
}
CONTRASTS = (("two-stage", "shuffled"), ("two-stage", "static-long"), ("two-stage", "none"))
Rates = dict[str, Rate]


class Cells:
    """All finished cells and what their counts are about."""

    def __init__(self) -> None:
        self.folds = {p.stem: _read(p) for p in sorted((HERE / "folds").glob("*.json"))}
        self.cells: dict[tuple[str, int, str], Any] = {}
        for path in sorted((HERE / "results").glob("*.json")):
            fold, seed, arm = path.stem.split("-", 2)
            self.cells[fold, int(seed), arm] = _read(path)

    def shared(self, arms: Sequence[str]) -> list[tuple[str, int]]:
        """Folds and seeds in which all ``arms`` are finished."""
        places = [{(f, s) for f, s, a in self.cells if a == arm} for arm in arms]
        return sorted(set.intersection(*places)) if places else []

    def rates(
        self,
        arm: str,
        split: str,
        subset: str,
        places: Sequence[tuple[str, int]],
        swap: str = "own",
        metric: int = 0,
    ) -> Rates:
        """Language -> CER (or WER, ``metric`` 1) over the utterances of ``subset``: primary or words."""
        collected: dict[str, list[tuple[list[float], list[int]]]] = defaultdict(list)
        for fold, seed in places:
            counts = self.cells[fold, seed, arm]["errors"][split][swap]
            for language, entry in self.folds[fold]["sets"][split].items():
                kept = [i for i, p in enumerate(entry["primary"]) if p == (subset == "primary")]
                lengths = entry["words" if metric else "chars"]
                if kept:
                    errors = [counts[language][metric][i] for i in kept]
                    collected[language].append((errors, [lengths[i] for i in kept]))
        rates = {}
        for language, runs in collected.items():
            by_length = defaultdict(
                list
            )  # folds choose their own dev utterances: pool, not average
            for errors, lengths in runs:
                by_length[tuple(lengths)].append(errors)
            errors = np.concatenate([np.mean(group, axis=0) for group in by_length.values()])
            lengths = np.concatenate([np.array(lengths) for lengths in by_length])
            rates[language] = Rate.of(errors, lengths, SAMPLES, language)
        return rates


def main() -> None:
    """Write the page from what is finished."""
    cells = Cells()
    parts = [
        "# Does typology help? Results so far\n",
        "Made by `python recipes/zero_shot_study/tables.py` from the finished cells in "
        "`recipes/zero_shot_study/results/`; the plan, committed before the first cell, is "
        "`recipes/zero_shot_study/README.md`. Whisper-base, frozen; adapters in the top two layers; "
        "romanised CER, greedy; leaked utterances dropped; every test language's clade was in no "
        "training of the cell that transcribed it. Speaker and language are confounded (often one "
        "speaker a language).\n",
        *_overview(cells),
        *_contrasts(cells),
        *_swaps(cells),
        *_languages(cells),
        *_rates_grid(cells),
    ]
    with atomic_path(PAGE) as draft:
        draft.write_text("\n".join(parts) + "\n", "utf-8")
    print(PAGE)


def _overview(cells: Cells) -> Iterator[str]:
    arms = [arm for arm in NAMES if any(a == arm for _, _, a in cells.cells)]
    places = cells.shared(arms)
    if not places:
        return
    yield f"## Arms\n\nFolds and seeds in which all arms are finished: {_named(places)}. Macro CER.\n"
    yield "| arm | trainable | primary, unseen clades | single words, unseen | trained languages | dev |"
    yield "|---|---|---|---|---|---|"
    for arm in arms:
        trainable = cells.cells[*places[0], arm]["trainable"]
        row = [
            _macro(cells.rates(arm, split, subset, places))
            for split, subset in (
                ("test", "primary"),
                ("test", "words"),
                ("seen", "primary"),
                ("dev", "primary"),
            )
        ]
        yield f"| {NAMES[arm]} | {trainable / 1e6:.2f} M | " + " | ".join(row) + " |"
    yield ""


def _contrasts(cells: Cells) -> Iterator[str]:
    yield "## Contrasts\n\nDifference of macro CER on the primary set, true vectors minus the other arm;"
    yield "negative: the true vectors are better. p: sign flips over clades.\n"
    yield "| against | cells | difference | 95 % | p (least) | detectable | languages, clades |"
    yield "|---|---|---|---|---|---|---|"
    for a, b in CONTRASTS:
        places = cells.shared([a, b])
        if not places:
            continue
        one, other = (cells.rates(arm, "test", "primary", places) for arm in (a, b))
        found = paired_difference(one, other, {name: clade_of(name) for name in one})
        interval = f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}" if found.interval else ""
        p = f"{found.p:.3f} ({found.smallest_p:.3f})" if found.p is not None else ""
        least = f"{found.detectable:.3f}" if found.detectable is not None else ""
        yield (
            f"| {NAMES[b]} | {_named(places)} | {found.mean:+.4f} | {interval} | {p} | {least} "
            f"| {found.languages}, {found.clusters} |"
        )
    yield ""


def _swaps(cells: Cells) -> Iterator[str]:
    places = cells.shared(["two-stage"])
    if not places:
        return
    yield "## Test-time swaps in the two-stage cells\n\nNothing is trained again: `mean` is the static"
    yield "part alone, `scaled-0.5` half the generated part, `nearest` the nearest trained language.\n"
    swaps = list(cells.cells[*places[0], "two-stage"]["errors"]["test"])
    arms = [arm for arm in ("two-stage", "shuffled") if set(places) <= set(cells.shared([arm]))]
    yield "| adapter | " + " | ".join(f"{arm}: primary | {arm}: dev" for arm in arms) + " |"
    yield "|---|" + "---|---|" * len(arms)
    for swap in swaps:
        row = [
            _macro(cells.rates(arm, split, "primary", places, swap), False)
            for arm in arms
            for split in ("test", "dev")
        ]
        yield f"| {swap} | " + " | ".join(row) + " |"
    yield ""


def _languages(cells: Cells) -> Iterator[str]:
    arms = [arm for arm in NAMES if any(a == arm for _, _, a in cells.cells)]
    places = cells.shared(arms)
    if not places:
        return
    yield "## Languages of the primary set\n"
    yield "| language | clade | nearest trained (distance) | observed | " + " | ".join(arms) + " |"
    yield "|---|---|---|---|" + "---|" * len(arms)
    per_arm = {arm: cells.rates(arm, "test", "primary", places) for arm in arms}
    for language in sorted(per_arm[arms[0]], key=lambda name: (clade_of(name), name)):
        fold = next(f for f, _ in places if language in cells.folds[f]["sets"]["test"])
        near = nearest(language, cells.folds[fold]["trained"], 1)[0]
        values = " | ".join(f"{per_arm[arm][language].value:.3f}" for arm in arms)
        yield (
            f"| {resolve(language).name} ({language}) | {clade_of(language)[-1]} "
            f"| {near.iso} ({near.distance:.2f}) | {observed_share(language):.0%} | {values} |"
        )
    yield ""


def _rates_grid(cells: Cells) -> Iterator[str]:
    grid = [
        (arm, cells.cells["a", 0, arm])
        for arm in ("static", "static-slow", "static-long", "static-long-slow", "two-stage",
                    "two-stage-slow", "shuffled", "shuffled-slow")
        if ("a", 0, arm) in cells.cells
    ]  # fmt: skip
    if not grid:
        return
    yield "## Learning rates\n\nDev CER of fold a, seed 0, at each look during training.\n"
    yield "| arm | rate | dev CER |\n|---|---|---|"
    for arm, cell in grid:
        looks = ", ".join(f"{value:.3f}" for value in cell["dev_cer_during_training"])
        yield f"| {arm} | {cell['config']['training']['learning_rate']:g} | {looks} |"


def _macro(rates: Rates, with_interval: bool = True) -> str:
    if not rates:
        return ""
    mean = f"{np.mean([rate.value for rate in rates.values()]):.3f}"
    interval = macro_interval(rates, {name: clade_of(name) for name in rates})
    return (
        f"{mean} ({interval[0]:.3f} to {interval[1]:.3f})" if interval and with_interval else mean
    )


def _named(places: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{fold}{seed}" for fold, seed in places)


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
