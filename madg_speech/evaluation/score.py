"""Hypotheses and references -> error rates per language and per group of languages."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from madg_speech.data.manifest import Utterance
from madg_speech.errors import UnknownLanguageError
from madg_speech.evaluation.hypotheses import Hypothesis
from madg_speech.evaluation.systems import Script
from madg_speech.language_data.tables import script_of
from madg_speech.languages import resolve
from madg_speech.metrics.bootstrap import Rate, macro_interval
from madg_speech.metrics.error_rate import ErrorRate, character_errors, pool, word_errors
from madg_speech.splits import clade_of, known_to_backbone, training_group
from madg_speech.text.normalize import Normalizer, normalize
from madg_speech.text.romanize import romanize

SUBSETS = ("all", "words", "sentences", "unleaked")
METRICS = ("cer", "wer")
# What a script's ``cer`` and ``wer`` are called. Phones are compared without spaces: a phone is a
# character, and an utterance a single word.
RATES = {"romanized": ("CER", "WER"), "native": ("CER", "WER"), "phones": ("PER", "wrong utt.")}
WORST = 5

# Written without spaces between words: there a "word" is a text of up to four characters.
UNSPACED = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
# ML-SUPERB 2.0 takes the spaces out of these before scoring.
SPACES_REMOVED = frozenset({"cmn", "jpn", "tha", "yue", "zho"})


@dataclass(frozen=True)
class Spelling:
    """How texts are made comparable: a normaliser, then romanisation if ``script`` says so.

    In ``phones`` references go through eSpeak NG, and hypotheses are phones already.
    """

    script: Script
    normalizer: Normalizer

    def references(self, texts: Sequence[str], language: str) -> list[str]:
        """Spell references for scoring; empty where eSpeak NG cannot say them."""
        if self.script != "phones":
            return [self(text, language) for text in texts]
        from madg_speech.text.phones import phonemize_many

        spelt = phonemize_many(texts, [language] * len(texts))
        return [text.replace(" ", "") for text in spelt]

    def __call__(self, text: str, language: str) -> str:
        """Spell a hypothesis for scoring."""
        if self.script == "phones":
            return text.replace(" ", "")
        normal = self.normalizer(text)
        if self.script == "romanized":
            normal = romanize(normal, language)
        if self.normalizer.name == "ml-superb" and language in SPACES_REMOVED:
            normal = normal.replace(" ", "")
        return normal


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


@dataclass(frozen=True)
class References:
    """Reference texts of one language as they are scored.

    Attributes:
        language: ISO 639-3.
        texts: id -> spelt reference; utterances whose reference is empty are not in it.
        empty: ids of those.
        subsets: name of ``SUBSETS`` -> ids; empty subsets are absent.
    """

    language: str
    texts: Mapping[str, str]
    empty: tuple[str, ...]
    subsets: Mapping[str, frozenset[str]]


def spell_references(
    language: str,
    utterances: Sequence[Utterance],
    spelling: Spelling,
    leaked: frozenset[str] | None = None,
) -> References:
    """Spell the references of a language and sort them into subsets.

    Args:
        language: ISO 639-3.
        utterances: its utterances.
        spelling: how.
        leaked: ids that the leak filter caught; None if it was not run.
    """
    spelt = spelling.references([u.text for u in utterances], language)
    texts = {u.id: text for u, text in zip(utterances, spelt, strict=True)}
    empty = tuple(name for name, text in texts.items() if not text.strip())
    kept = {name: text for name, text in texts.items() if text.strip()}
    words = {u.id for u in utterances if is_word(u.text, language)}
    subsets = {
        "all": frozenset(kept),
        "words": frozenset(kept.keys() & words),
        "sentences": frozenset(kept.keys() - words),
        "unleaked": frozenset() if leaked is None else frozenset(kept.keys() - leaked),
    }
    return References(language, kept, empty, {name: ids for name, ids in subsets.items() if ids})


def is_word(text: str, language: str) -> bool:
    """Whether a reference is a single word rather than a sentence.

    No space in it; in scripts that do without spaces, at most four characters.
    """
    normal = normalize(text)
    return " " not in normal and (len(normal) <= 4 or script_of(language) not in UNSPACED)


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
