"""Hypotheses and references of a language -> its error rates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from madg_speech.evaluation.hypotheses import Hypothesis
from madg_speech.evaluation.spelling import References, Spelling
from madg_speech.metrics.bootstrap import Rate
from madg_speech.metrics.error_rate import ErrorRate, character_errors, pool, word_errors

METRICS = ("cer", "wer")


@dataclass(frozen=True)
class LanguageScores:
    """Edit counts of a system on the scored utterances of one language.

    Attributes:
        language: ISO 639-3.
        ids: the scored utterances.
        characters: counts per utterance, in characters.
        words: counts per utterance, in words.
        subsets: name of ``SUBSETS`` -> places among ``ids``.
        samples: bootstrap samples.
    """

    language: str
    ids: tuple[str, ...]
    characters: tuple[ErrorRate, ...]
    words: tuple[ErrorRate, ...]
    subsets: Mapping[str, tuple[int, ...]]
    samples: int
    _rates: dict[tuple[str, str], Rate] = field(default_factory=dict, repr=False)

    def rate(self, metric: str, subset: str = "all") -> Rate:
        """The pooled rate (``cer`` or ``wer``) over a subset, resampled once."""
        key = (metric, subset)
        if key not in self._rates:
            counts = self._counts(metric, subset)
            self._rates[key] = Rate.of(
                [c.errors for c in counts], [c.length for c in counts], self.samples, self.language
            )
        return self._rates[key]

    def utterance_mean(self, metric: str, subset: str = "all") -> float:
        """The mean of the utterances' own rates, as ML-SUPERB 2.0 averages."""
        return statistics.fmean(count.rate for count in self._counts(metric, subset))

    def summary(self, subset: str = "all") -> dict[str, Any]:
        """Counts, rates and intervals of a subset, as JSON."""
        characters = pool(self._counts("cer", subset))
        result: dict[str, Any] = {"utterances": len(self.subsets[subset])}
        result |= {
            "characters": characters.length,
            "words": pool(self._counts("wer", subset)).length,
        }
        for metric in METRICS:
            counts, rate = pool(self._counts(metric, subset)), self.rate(metric, subset)
            result[metric] = {
                "rate": rate.value,
                "interval": rate.interval,
                "substitutions": counts.substitutions,
                "deletions": counts.deletions,
                "insertions": counts.insertions,
                "utterance_mean": self.utterance_mean(metric, subset),
            }
        return result

    def _counts(self, metric: str, subset: str) -> list[ErrorRate]:
        source = self.characters if metric == "cer" else self.words
        return [source[place] for place in self.subsets[subset]]


def score_language(
    references: References,
    hypotheses: Mapping[str, Hypothesis],
    spelling: Spelling,
    samples: int,
) -> LanguageScores:
    """Score hypotheses (id -> hypothesis); an utterance without one counts as all deletions."""
    ids = tuple(references.texts)
    said = [
        spelling(hypotheses[name].text, references.language) if name in hypotheses else ""
        for name in ids
    ]
    expected = [references.texts[name] for name in ids]
    places = {name: place for place, name in enumerate(ids)}
    subsets = {
        subset: tuple(sorted(places[name] for name in members))
        for subset, members in references.subsets.items()
    }
    return LanguageScores(
        references.language,
        ids,
        tuple(character_errors(expected, said)),
        tuple(word_errors(expected, said)),
        subsets,
        samples,
    )
