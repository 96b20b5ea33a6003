"""Text normalisation before training and scoring; a style has a version, stored with scores."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import regex

# What keyboards put where a word has an apostrophe; inside words all become "'".
APOSTROPHES = "'\u2019\u2018\u201b\u02bc"

_WORD = r"[[\p{L}\p{M}\p{N}]--\u02bc]"
# Zero-width joiner and non-joiner are spelling inside words; U+200B is the word boundary of Khmer
# and Thai web text; all other format characters say nothing.
_INVISIBLE = regex.compile(r"[\p{Cf}--[\u200b-\u200d]]", regex.V1)
_STRAY_JOINER = regex.compile(rf"(?<!{_WORD})[\u200c\u200d]|[\u200c\u200d](?!{_WORD})", regex.V1)
# U+02BC is a letter, as in Afrikaans ʼn: at the edge of a word it is no quotation mark: it stays.
_QUOTE = regex.compile(
    rf"(?<!{_WORD})[\u2019\u2018\u201b']|[\u2019\u2018\u201b'](?!{_WORD})", regex.V1
)
_APOSTROPHE = regex.compile(rf"(?<={_WORD})[{APOSTROPHES}](?={_WORD})", regex.V1)
_SEPARATOR = regex.compile(r"[[\p{P}\p{Z}\p{Cc}\p{Sm}\p{Sc}\p{So}\^`\u200b]--']", regex.V1)


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A named, versioned way to normalise text: ``normalizer(text) -> str``."""

    name: str
    version: int
    apply: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """Normalise ``text``."""
        return self.apply(text)

    @property
    def label(self) -> str:
        """What is written beside a score, for example ``default-1``."""
        return f"{self.name}-{self.version}"


def normalize(text: str, style: str = "default") -> str:
    """Normalise ``text`` by a style of ``NORMALIZERS``.

    ``default``: NFKC; lower case; punctuation (Unicode P*) and symbols (Sm, Sc, So, ``^`` and the
    grave accent) become spaces; invisible characters go; an apostrophe between two letters, marks
    or digits is kept as ``'``; white space is squeezed. Combining marks stay: without them the
    Brahmic scripts lose their vowels. Tone letters (Sk) stay. Twice is the same as once. ``none``: the
    text as it is.

    For comparison with others' scores: ``whisper``, the BasicTextNormalizer of openai/whisper as
    transformers has it, without its removal of diacritics, for every language (English too): text in
    brackets goes, and marks become spaces like punctuation, which breaks Brahmic scripts.
    ``ml-superb``, the scoring of ML-SUPERB 2.0: punctuation (Unicode P*) is deleted, not replaced by
    a space, and all is upper case (there, spaces go too in Chinese, Japanese and Thai: the caller's part).

    Raises:
        ValueError: no such style.
    """
    if style not in NORMALIZERS:
        raise ValueError(f"no normalizer {style!r}; known: {', '.join(NORMALIZERS)}")
    return NORMALIZERS[style](text)


def _default(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower()
    # Lower case and removals can each leave what NFKC would change.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = _APOSTROPHE.sub("'", _QUOTE.sub(" ", _STRAY_JOINER.sub("", text)))
    text = _SEPARATOR.sub(" ", text)
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _whisper(text: str) -> str:
    return str(_whisper_rules()(text)).strip()


@cache
def _whisper_rules() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    rules: Callable[[str], str] = BasicTextNormalizer()
    return rules


def _ml_superb(text: str) -> str:
    kept = "".join(char for char in text if not unicodedata.category(char).startswith("P"))
    return kept.upper()


NORMALIZERS = {
    "default": Normalizer("default", 1, _default),
    "none": Normalizer("none", 1, str),
    "whisper": Normalizer("whisper", 1, _whisper),
    "ml-superb": Normalizer("ml-superb", 1, _ml_superb),
}
