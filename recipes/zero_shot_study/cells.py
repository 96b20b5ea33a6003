"""Finished cells: what they counted, and error rates of languages over seeds and folds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from folds import HERE

from madg_speech.metrics.bootstrap import Difference, Rate, macro_interval, paired_difference
from madg_speech.splits import clade_of
from madg_speech.typology import nearest

SAMPLES = 2000
Rates = dict[str, Rate]
Place = tuple[str, int]


class Cells:
    """The results under ``results/`` and the folds that they are about.

    Attributes:
        folds: name -> ``fold.json``.
        cells: (fold, seed, arm) -> result.
        few_shot: results of ``few_shot.py``, by name.
    """

    def __init__(self) -> None:
        self.folds = {p.stem: _read(p) for p in sorted((HERE / "folds").glob("*.json"))}
        self.cells: dict[tuple[str, int, str], Any] = {}
        for path in sorted((HERE / "results").glob("*.json")):
            fold, seed, arm = path.stem.split("-", 2)
            self.cells[fold, int(seed), arm] = _read(path)
        self.few_shot = {
            p.stem: _read(p) for p in sorted((HERE / "results" / "few_shot").glob("*.json"))
        }

    def shared(self, arms: Sequence[str], split: str = "test", swap: str = "own") -> list[Place]:
        """Folds and seeds in which all ``arms`` are finished and scored so."""
        places = [
            {
                (fold, seed)
                for (fold, seed, name), cell in self.cells.items()
                if name == arm and swap in cell["errors"].get(split, {})
            }
            for arm in arms
        ]
        return sorted(set.intersection(*places)) if places else []

    def rates(
        self,
        arm: str,
        split: str,
        subset: str,
        places: Sequence[Place],
        swap: str = "own",
        metric: int = 0,
    ) -> Rates:
        """Language -> CER (or WER, ``metric`` 1) over the utterances of ``subset``: primary or words.

        Counts of an utterance are averaged over seeds first; a development language's utterances of
        several folds, which choose their own, are pooled.
        """
        collected: dict[str, list[tuple[list[float], list[int]]]] = defaultdict(list)
        for fold, seed in places:
            counts = self.cells[fold, seed, arm]["errors"][split][swap]
            for language in self.folds[fold]["sets"][split]:
                kept, lengths = self.references(fold, split, language, subset, metric)
                if kept:
                    errors = [counts[language][metric][i] for i in kept]
                    collected[language].append((errors, lengths))
        rates = {}
        for language, runs in collected.items():
            by_length = defaultdict(list)
            for errors, lengths in runs:
                by_length[tuple(lengths)].append(errors)
            errors = np.concatenate([np.mean(group, axis=0) for group in by_length.values()])
            lengths = np.concatenate([np.array(lengths) for lengths in by_length])
            rates[language] = Rate.of(errors, lengths, SAMPLES, language)
        return rates

    def references(
        self, fold: str, split: str, language: str, subset: str, metric: int = 0
    ) -> tuple[list[int], list[int]]:
        """Numbers of a language's utterances that belong to ``subset``, and their lengths."""
        entry = self.folds[fold]["sets"][split][language]
        kept = [i for i, p in enumerate(entry["primary"]) if p == (subset == "primary")]
        lengths = entry["words" if metric else "chars"]
        return kept, [lengths[i] for i in kept]

    def fold_of(self, language: str) -> str:
        """The fold that tests ``language``."""
        return next(f for f, fold in self.folds.items() if language in fold["sets"]["test"])

    def distance(self, language: str) -> tuple[str, float]:
        """The trained language nearest to a tested one, and how far it is."""
        near = nearest(language, self.folds[self.fold_of(language)]["trained"], 1)[0]
        return near.iso, near.distance


def difference(a: Rates, b: Rates) -> Difference:
    """Macro CER of ``a`` minus ``b``, clustered by clade."""
    return paired_difference(a, b, {name: clade_of(name) for name in a})


def macro(rates: Rates) -> float:
    """Mean over languages."""
    return float(np.mean([rate.value for rate in rates.values()]))


def interval_of(rates: Rates) -> tuple[float, float] | None:
    """95 % interval of :func:`macro`, clustered by clade."""
    return macro_interval(rates, {name: clade_of(name) for name in rates})


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
