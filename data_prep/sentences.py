"""Which lines of a text file can be read aloud so that the transcript is what is heard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_SHORTEST = 4  # characters
_LONGEST = 200
_LONG_LINE = 100
_PAUSES = frozenset(".,;:!?'\"-()«»‹›“”„‘’…–—¿¡·、。，！？：；「」『』（）・।॥،؛؟۔՝՞՜։;፡።፣፤፥፦፧၊။")
_JOINERS = "\u200c\u200d"
_BREAK = re.compile(r"(?<=[.;:!?…。；！？।॥؛؟۔։።၊။])\s*|\s+[–—]\s+|(?<=[,،、，፣])\s+")
_KANA = frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})


def read_lines(path: Path) -> tuple[list[str], int]:
    """The lines of a UTF-8 file, and how many others were not UTF-8."""
    lines, broken = [], 0
    for raw in path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines():
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
            continue
        if line.strip():
            lines.append(line)
    return lines, broken


def tidy(line: str) -> str:
    """The line in NFC, with single blanks and without loose punctuation at its ends."""
    return " ".join(unicodedata.normalize("NFC", line).split()).strip(" ,;:،、，-–—")


def split_clauses(line: str) -> Iterator[str]:
    """The clauses of a line too long to be one utterance; nothing of a shorter one."""
    line = tidy(line)
    if len(line) > _LONG_LINE:
        yield from map(tidy, _BREAK.split(line))


def is_speakable(text: str) -> bool:
    """Whether each letter is read as written: no digits, symbols or acronyms, and one script.

    Japanese is left with kana: eSpeak NG cannot read kanji, and no romaniser knows their reading.
    """
    if not _SHORTEST <= len(text) <= _LONGEST:
        return False
    scripts = {_script(character) for character in text} - {""}
    if "unspeakable" in scripts or not (len(scripts) == 1 or scripts <= _KANA):
        return False
    return not any(sum(c.isupper() for c in word) > 1 for word in re.split(r"[\s\-]+", text))


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """First word of a letter's Unicode name; "" for marks, blanks and pauses."""
    category = unicodedata.category(character)
    if category in ("Mn", "Mc", "Zs", "Lm") or character in _PAUSES or character in _JOINERS:
        return ""
    if category[0] != "L":
        return "unspeakable"
    return unicodedata.name(character, "unspeakable").split()[0]
