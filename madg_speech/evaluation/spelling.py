"""How texts are made comparable, and which references are words, sentences, leaked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from madg_speech.data.manifest import Utterance
from madg_speech.evaluation.systems import Script
from madg_speech.language_data.tables import script_of
from madg_speech.text.normalize import Normalizer, normalize
from madg_speech.text.romanize import romanize

SUBSETS = ("all", "words", "sentences", "unleaked")

# Written without spaces between words: there a "word" is a text of up to four characters.
UNSPACED = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
# ML-SUPERB 2.0 takes the spaces out of these before scoring.
SPACES_REMOVED = frozenset({"cmn", "jpn", "tha", "yue", "zho"})


# What a script's ``cer`` and ``wer`` are called. Phones are compared without spaces: a phone is a
# character, and an utterance a single word.
RATES = {"romanized": ("CER", "WER"), "native": ("CER", "WER"), "phones": ("PER", "wrong utt.")}


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
