"""Error rates of languages -> macro scores of groups of languages."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from madg_speech.errors import UnknownLanguageError
from madg_speech.evaluation.score import METRICS, LanguageScores
from madg_speech.evaluation.spelling import SUBSETS
from madg_speech.languages import resolve
from madg_speech.metrics.bootstrap import macro_interval
from madg_speech.splits import clade_of, known_to_backbone, training_group

WORST = 5


@dataclass(frozen=True)
class Standing:
    """How a language stands to a system.

    Attributes:
        training: trained, clade, family or unrelated; None if the training languages are not known.
        backbone: whether the backbone's training languages name it; None if that is not known.
        script: script type of the language.
    """

    training: str | None
    backbone: bool | None
    script: str

    @classmethod
    def of(cls, language: str, trained: Sequence[str] | None, backbone: str | None) -> Standing:
        """Look ``language`` up."""
        return cls(
            None if trained is None else training_group(language, trained),
            None if backbone is None else known_to_backbone(language, backbone),
            script_type(language),
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that the language belongs to."""
        names = ["all", f"script:{self.script}"]
        if self.training is not None:
            names.append(self.training)
            if self.training != "trained":
                names.append("unseen")
        if self.backbone is not None:
            names.append("backbone:known" if self.backbone else "backbone:unknown")
            if self.training not in (None, "trained") and not self.backbone:
                names.append("unseen, backbone:unknown")
        return tuple(names)


def script_type(language: str) -> str:
    """The script type of a code, ``unknown`` for one that nobody lists."""
    try:
        return resolve(language).script
    except UnknownLanguageError:
        return "unknown"


def summarise_groups(
    scores: Mapping[str, LanguageScores], standings: Mapping[str, Standing]
) -> dict[str, dict[str, Any]]:
    """Group -> subset -> macro scores: each language counts once."""
    members: dict[str, list[str]] = {}
    for language in scores:
        for group in standings[language].groups:
            members.setdefault(group, []).append(language)
    result: dict[str, dict[str, Any]] = {}
    for group, languages in sorted(members.items()):
        for subset in SUBSETS:
            inside = {n: scores[n] for n in languages if subset in scores[n].subsets}
            if inside:
                result.setdefault(group, {})[subset] = macro_summary(inside, subset)
    return result


def macro_summary(scores: Mapping[str, LanguageScores], subset: str) -> dict[str, Any]:
    """Mean over languages, its interval, the worst five, spread, and the alternative average."""
    clades = {name: clade_of(name) for name in scores}
    summary: dict[str, Any] = {
        "languages": sorted(scores),
        "clades": len(set(clades.values())),
        "utterances": sum(len(score.subsets[subset]) for score in scores.values()),
    }
    for metric in METRICS:
        rates = {name: score.rate(metric, subset) for name, score in scores.items()}
        values = [rate.value for rate in rates.values()]
        worst = sorted(((rate.value, name) for name, rate in rates.items()), reverse=True)[:WORST]
        summary[metric] = {
            "macro": statistics.fmean(values),
            "interval": macro_interval(rates, clades),
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
            "worst": [[name, value] for value, name in worst],
            "worst_mean": statistics.fmean(value for value, _ in worst),
            "utterance_mean": statistics.fmean(
                score.utterance_mean(metric, subset) for score in scores.values()
            ),
        }
    return summary
