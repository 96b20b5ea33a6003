"""Text to IPA by eSpeak NG, in the segments that all languages share, and who has which segment.

eSpeak's transcription is broad and not the same in every language. What is kept of it is the plain
segments: stress, tone, length, nasality and secondary articulation (aspiration, palatalisation ...)
are dropped, affricates are two segments, and spaces stay between words. So a phone is one character.

URIEL's inventory block (its ``INV_`` features, from PHOIBLE and others) says for 117 segments and
affricates whether a language has them: :func:`inventory` turns that into the phones that a language
may have. URIEL has no feature for some of the commonest (o, ɡ, z, ʊ): those every language may have.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby

from madg_speech.errors import UnknownLanguageError
from madg_speech.text.espeak_engine import Engine
from madg_speech.text.espeak_table import load_table
from madg_speech.text.normalize import normalize

# Spellings of one segment: compatibility letters, rhotic vowels, ASCII left over from eSpeak.
_SAME = str.maketrans(
    {"g": "ɡ", "ε": "ɛ", "ʦ": "ts", "ʣ": "dz", "ʧ": "tʃ", "ʤ": "dʒ", "ɚ": "ə", "ɝ": "ɜ", "ᵻ": "ɨ"}
)
_SWITCH = re.compile(r"\([a-z-]+\)")  # marks a word read by the rules of another language

# URIEL's names of segments. "A_WITH_B" are affricates and double articulations: both of their parts.
_NAMED = {
    "OPEN_FRONT_UNROUNDED_VOWEL": "a", "VOICED_BILABIAL_PLOSIVE": "b",
    "VOICELESS_PALATAL_PLOSIVE": "c", "VOICED_ALVEOLAR_PLOSIVE": "d",
    "CLOSE_MID_FRONT_UNROUNDED_VOWEL": "e", "VOICELESS_LABIODENTAL_FRICATIVE": "f",
    "VOICELESS_GLOTTAL_FRICATIVE": "h", "CLOSE_FRONT_UNROUNDED_VOWEL": "i",
    "PALATAL_APPROXIMANT": "j", "VOICELESS_VELAR_PLOSIVE": "k",
    "ALVEOLAR_LATERAL_APPROXIMANT": "l", "BILABIAL_NASAL": "m", "ALVEOLAR_NASAL": "n",
    "CLOSE_MID_BACK_UNROUNDED_VOWEL": "ɤ", "VOICELESS_BILABIAL_PLOSIVE": "p",
    "VOICELESS_UVULAR_PLOSIVE": "q", "ALVEOLAR_TRILL": "r", "VOICELESS_ALVEOLAR_FRICATIVE": "s",
    "VOICELESS_ALVEOLAR_PLOSIVE": "t", "CLOSE_BACK_ROUNDED_VOWEL": "u",
    "VOICED_LABIODENTAL_FRICATIVE": "v", "VOICED_LABIAL_VELAR_APPROXIMANT": "w",
    "VOICELESS_VELAR_FRICATIVE": "x", "CLOSE_FRONT_ROUNDED_VOWEL": "y",
    "OPEN_OPEN_MID_FRONT_UNROUNDED_VOWEL": "æ", "VOICELESS_PALATAL_FRICATIVE": "ç",
    "VOICED_DENTAL_FRICATIVE": "ð", "CLOSE_MID_FRONT_ROUNDED_VOWEL": "ø",
    "VOICELESS_PHARYNGEAL_FRICATIVE": "ħ", "VELAR_NASAL": "ŋ",
    "OPEN_MID_FRONT_ROUNDED_VOWEL": "œ", "OPEN_OPEN_MID_CENTRAL_UNROUNDED_VOWEL": "ɐ",
    "OPEN_BACK_UNROUNDED_VOWEL": "ɑ", "OPEN_BACK_ROUNDED_VOWEL": "ɒ",
    "VOICED_BILABIAL_IMPLOSIVE": "ɓ", "OPEN_MID_BACK_ROUNDED_VOWEL": "ɔ",
    "VOICELESS_ALVEOPALATAL_FRICATIVE": "ɕ", "VOICED_RETROFLEX_PLOSIVE": "ɖ",
    "VOICED_ALVEOLAR_IMPLOSIVE": "ɗ", "CLOSE_MID_CENTRAL_UNROUNDED_VOWEL": "ɘ",
    "MID_CENTRAL_UNROUNDED_VOWEL": "ə", "OPEN_MID_FRONT_UNROUNDED_VOWEL": "ɛ",
    "OPEN_MID_CENTRAL_UNROUNDED_RHOTIC_VOWEL": "ɜ", "OPEN_MID_CENTRAL_ROUNDED_VOWEL": "ɞ",
    "VOICED_PALATAL_PLOSIVE": "ɟ", "VOICED_VELAR_IMPLOSIVE": "ɠ", "VOICED_UVULAR_PLOSIVE": "ɢ",
    "VOICED_VELAR_FRICATIVE": "ɣ", "VOICED_LABIAL_PALATAL_APPROXIMANT": "ɥ",
    "VOICED_GLOTTAL_FRICATIVE": "ɦ", "VOICELESS_POSTALVEOLAR_VELAR_FRICATIVE": "ɧ",
    "CLOSE_CENTRAL_UNROUNDED_VOWEL": "ɨ", "CLOSE_CLOSE_MID_HIGH_FRONT_UNROUNDED_VOWEL": "ɪ",
    "VOICED_VELARIZED_LATERAL_APPROXIMANT": "ɫ", "VOICELESS_ALVEOLAR_LATERAL_FRICATIVE": "ɬ",
    "VOICED_RETROFLEX_LATERAL_APPROXIMANT": "ɭ", "VOICED_ALVEOLAR_LATERAL_FRICATIVE": "ɮ",
    "CLOSE_BACK_UNROUNDED_VOWEL": "ɯ", "VELAR_APPROXIMANT": "ɰ", "LABIODENTAL_NASAL": "ɱ",
    "PALATAL_NASAL": "ɲ", "RETROFLEX_NASAL": "ɳ", "UVULAR_NASAL": "ɴ",
    "CLOSE_MID_CENTRAL_ROUNDED_VOWEL": "ɵ", "OPEN_FRONT_ROUNDED_VOWEL": "ɶ",
    "VOICELESS_BILABIAL_FRICATIVE": "ɸ", "ALVEOLAR_APPROXIMANT": "ɹ",
    "VOICED_ALVEOLAR_LATERAL_FLAP": "ɺ", "RETROFLEX_APPROXIMANT": "ɻ", "RETROFLEX_FLAP": "ɽ",
    "ALVEOLAR_TAP": "ɾ", "UVULAR_TRILL": "ʀ", "UVULAR_APPROXIMANT": "ʁ",
    "VOICELESS_RETROFLEX_FRICATIVE": "ʂ", "VOICELESS_POSTALVEOLAR_FRICATIVE": "ʃ",
    "VOICED_PALATAL_IMPLOSIVE": "ʄ", "VOICELESS_RETROFLEX_PLOSIVE": "ʈ",
    "CLOSE_CENTRAL_ROUNDED_VOWEL": "ʉ", "LABIODENTAL_APPROXIMANT": "ʋ", "LABIODENTAL_FLAP": "ⱱ",
    "OPEN_MID_BACK_UNROUNDED_VOWEL": "ʌ", "VOICELESS_LABIO_VELAR_FRICATIVE": "ʍ",
    "PALATAL_LATERAL_APPROXIMANT": "ʎ", "CLOSE_CLOSE_MID_HIGH_FRONT_ROUNDED_VOWEL": "ʏ",
    "VOICED_RETROFLEX_FRICATIVE": "ʐ", "VOICED_ALVEOPALATAL_FRICATIVE": "ʑ",
    "VOICED_POSTALVEOLAR_FRICATIVE": "ʒ", "GLOTTAL_PLOSIVE": "ʔ",
    "VOICED_PHARYNGEAL_FRICATIVE": "ʕ", "VOICED_BILABIAL_TRILL": "ʙ",
    "VOICED_PALATAL_FRICATIVE": "ʝ", "VELAR_LATERAL_APPROXIMANT": "ʟ",
    "VOICED_BILABIAL_FRICATIVE": "β", "VOICELESS_DENTAL_FRICATIVE": "θ",
    "VOICED_UVULAR_FRICATIVE": "ʁ",
}  # fmt: skip
# One sound, several broad spellings: eSpeak writes r for a tap, PHOIBLE may write ɾ, and so on.
_ALIKE = (
    "rɾɹɻʀʁ",
    "aɑɐæ",
    "eɛ",
    "iɪ",
    "oɔ",
    "uʊ",
    "əɜɐʌɘɨ",
    "hɦ",
    "vʋ",
    "dɖð",
    "tʈ",
    "lɫ",
    "xχ",
    "ʃʂɕ",
    "ʒʐʑ",
)
UNSAID = frozenset("oɡzʊχ")  # URIEL's block has no feature for them
PHONES = tuple(sorted({*_NAMED.values(), *UNSAID}))


@cache
def _engine() -> Engine:
    return Engine()


def speaks(lang: str | None) -> bool:
    """Whether eSpeak NG has a voice for an ISO 639-3 code, under any code it may be filed."""
    return lang in _voices()


@cache
def _voices() -> dict[str, str]:
    voices: dict[str, str] = {}
    for row in load_table():
        known = [voice for voice in row.voices if voice in _engine().voices]
        if known:
            voices.setdefault(row.iso, known[0])
    for row in load_table():
        for code in row.files:
            if row.iso in voices:
                voices.setdefault(code, voices[row.iso])
    return voices


def phonemize(texts: Sequence[str], lang: str) -> list[str]:
    """Each text in :data:`PHONES` and spaces; empty where a text crashes eSpeak NG.

    Args:
        texts: in the language's orthography; they are normalised first.
        lang: ISO 639-3.

    Raises:
        UnknownLanguageError: eSpeak NG has no voice for the language.
        BackboneError: eSpeak NG is not installed.
    """
    voice = _voices().get(lang)
    if voice is None:
        raise UnknownLanguageError(
            f"eSpeak NG has no voice for {lang}: its text cannot be spelt in phones "
            "(vocabulary: romanized takes any language)"
        )
    said = _engine().phonemes([normalize(text) for text in texts], voice)
    return [segments(ipa or "") for ipa in said]


def phonemize_many(texts: Sequence[str], langs: Sequence[str | None]) -> list[str]:
    """:func:`phonemize` for texts and their languages, in pairs; empty where there is no voice."""
    spelt = [""] * len(texts)
    order = sorted((i for i, lang in enumerate(langs) if speaks(lang)), key=lambda i: str(langs[i]))
    for lang, places in groupby(order, key=lambda i: str(langs[i])):
        rows = list(places)
        for row, phones in zip(rows, phonemize([texts[i] for i in rows], lang), strict=True):
            spelt[row] = phones
    return spelt


def segments(ipa: str) -> str:
    """The plain segments of a transcription, words apart."""
    decomposed = unicodedata.normalize("NFD", _SWITCH.sub("", ipa).replace("ç", "\ue000"))
    joined = decomposed.replace("\ue000", "ç").translate(_SAME)
    kept = (char if char in _KNOWN else " " if char.isspace() else "" for char in joined)
    return " ".join("".join(kept).split())


_KNOWN = frozenset(PHONES)


@cache
def inventory(lang: str) -> frozenset[str]:
    """The phones that a language may have: those of URIEL's block (inferred where not observed), what
    may be another spelling of one of them, and what the block has no feature for.

    Raises:
        UnknownLanguageError: the language has no URIEL entry.
    """
    from madg_speech.typology import load_typology

    typology = load_typology()
    (vector,) = typology.vectors([lang])
    found = set(UNSAID)
    for name, value in zip(typology.feature_names, vector, strict=True):
        if value >= 0.5 and name.startswith("INV_"):
            found |= phones_of(name)
    for group in _ALIKE:
        if found.intersection(group):
            found |= set(group)
    return frozenset(found)


def phones_of(feature: str) -> frozenset[str]:
    """The phones that an ``INV_`` feature speaks of; none for what is no segment (INV_VOWEL_5)."""
    parts = feature.removeprefix("INV_").split("_WITH_")
    return frozenset(_NAMED[part] for part in parts if part in _NAMED)
