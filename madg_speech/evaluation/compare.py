"""Paired comparisons of systems on the same utterances, and the choice among a baseline's modes."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from madg_speech.evaluation.groups import Standing
from madg_speech.evaluation.score import LanguageScores
from madg_speech.metrics.bootstrap import paired_difference
from madg_speech.splits import clade_of

COMPARED_SUBSETS = ("all", "unleaked")


def compare_all(
    scores: Mapping[str, Mapping[str, LanguageScores]],
    standings: Mapping[str, Standing],
    left_out: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Every pair of systems in every group: mean difference of CER and WER, interval, sign-flip test.

    Args:
        scores: system -> language -> scores, all of one spelling.
        standings: language -> groups, as seen from the system under study.
        left_out: development languages: something was chosen on them.
    """
    found = []
    for a, b in combinations(scores, 2):
        shared = [name for name in scores[a] if name in scores[b] and name not in left_out]
        groups: dict[str, list[str]] = {}
        for language in shared:
            for group in standings[language].groups:
                groups.setdefault(group, []).append(language)
        for group, languages in groups.items():
            for subset in COMPARED_SUBSETS:
                inside = [name for name in languages if subset in scores[a][name].subsets]
                if inside:
                    found.append(
                        {"a": a, "b": b, "group": group, "subset": subset}
                        | {
                            m: _compare(scores[a], scores[b], inside, m, subset)
                            for m in ("cer", "wer")
                        }
                    )
    return found


def _compare(
    a: Mapping[str, LanguageScores],
    b: Mapping[str, LanguageScores],
    languages: Sequence[str],
    metric: str,
    subset: str,
) -> dict[str, Any]:
    difference = paired_difference(
        {name: a[name].rate(metric, subset) for name in languages},
        {name: b[name].rate(metric, subset) for name in languages},
        {name: clade_of(name) for name in languages},
    )
    return asdict(difference)


def choose_mode(
    modes: Sequence[str],
    scores: Mapping[str, Mapping[str, LanguageScores]],
    dev_languages: Collection[str],
) -> str | None:
    """The mode with the least macro CER on the development languages alone; None without any of them."""
    means = {}
    for mode in modes:
        rates = [
            scores[mode][name].rate("cer").value for name in dev_languages if name in scores[mode]
        ]
        if rates:
            means[mode] = statistics.fmean(rates)
    return min(means, key=lambda mode: (means[mode], mode)) if means else None
