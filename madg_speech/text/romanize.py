"""Any script to ``[a-z' ]``, the spelling that all languages share (uroman).

uroman: Hermjakob, May and Knight, "Out-of-the-box universal romanization tool uroman", ACL 2018
system demonstrations. The reduction to ``[a-z' ]`` is the convention of MMS (Pratap et al. 2023,
arXiv 2305.13516, forced alignment).
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from madg_speech.text.normalize import APOSTROPHES

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_KEPT = frozenset(ALPHABET + "' ")
_APOSTROPHES = str.maketrans(dict.fromkeys(APOSTROPHES + "\u02bb\u2032", "'"))
_lock = threading.Lock()


def romanize(text: str, lang: str | None = None) -> str:
    """Spell ``text`` in ``[a-z' ]``; ``lang`` (ISO 639-3) selects uroman's rules for that language.

    Marks are dropped, typographic apostrophes become ``'``, punctuation and symbols become spaces,
    spaces are squeezed. What has no Latin spelling is dropped, DIGITS included ("3 cats" is
    "cats"): ``unspoken`` names what got lost. Chinese numerals are letters and keep their reading.
    The first text that is not plain ASCII loads uroman's tables (seconds, once per process).
    """
    # uroman leaves ASCII as it is, whatever the language.
    return _latin(text) if text.isascii() else _romanize(text, lang)


def romanize_many(texts: Iterable[str], langs: Iterable[str | None]) -> list[str]:
    """``romanize`` for texts and their languages, in pairs.

    Raises:
        ValueError: the two differ in length.
    """
    return [romanize(text, lang) for text, lang in zip(texts, langs, strict=True)]


def unspoken(text: str, lang: str | None = None) -> str:
    """The letters and digits of ``text`` that ``romanize`` drops, each once, sorted; "" if none.

    A manifest whose text has any is a transcript with speech missing: spell numbers out.
    """
    return "".join(sorted({c for c in text if c.isalnum() and not romanize(c, lang)}))


@lru_cache(maxsize=100_000)
def _romanize(text: str, lang: str | None) -> str:
    with _lock:  # uroman fills tables while it works
        uroman, numerals = _load_uroman()
        return _latin(uroman.romanize_string(text.translate(numerals), lcode=lang))


@lru_cache(maxsize=1)
def _load_uroman() -> tuple[Any, dict[int, str]]:
    """Return uroman and the readings of letters that it would rather turn into digits (三 -> 3)."""
    from uroman import Uroman

    uroman = Uroman()
    numerals = {}
    for char, rules in uroman.rom_rules.items():
        readings = [rule["t"] for rule in rules if rule["t"]]
        if len(char) == 1 and readings and _is_numeral_letter(char):
            numerals[ord(char)] = readings[0]
    return uroman, numerals


def _is_numeral_letter(char: str) -> bool:
    numeric = unicodedata.numeric(char, None) is not None
    return numeric and unicodedata.category(char) in {"Lo", "Nl"}


def _latin(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).lower()
    return " ".join("".join(map(_letter, decomposed)).split())


@lru_cache(maxsize=65536)
def _letter(char: str) -> str:
    if char in _KEPT:
        return char
    return " " if unicodedata.category(char)[0] in "PSZC" else ""
