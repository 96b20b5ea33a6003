"""Words in native script and how each is spelt in the output vocabulary."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from madg_speech.errors import DataError
from madg_speech.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Lexicon:
    """Words of one language and how they are spelt in the output vocabulary.

    Attributes:
        spellings: word -> letters, never empty.
        counts: word -> count, where the file says so; empty otherwise.
        unspelt: entries left out, having no letter that can be spelt.
    """

    spellings: dict[str, str]
    counts: dict[str, int]
    unspelt: tuple[str, ...] = ()


def read_lexicon(path: Path, vocabulary: Vocabulary, lang: str | None) -> Lexicon:
    """Read a UTF-8 file of one word a line, with or without a count after a tab or space.

    Args:
        path: a word that comes twice has its counts added.
        vocabulary: spells the words.
        lang: ISO 639-3, for the rules of romanisation.

    Raises:
        DataError: missing, not UTF-8, more than a word and a count in a line, or no usable word.
    """
    spellings: dict[str, str] = {}
    counts: dict[str, int] = defaultdict(int)
    unspelt = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) > 2 or (len(fields) == 2 and not fields[1].isdecimal()):
            raise DataError(
                f"{path}, line {number}: {line.strip()[:60]!r}; expected one word, or a word and a "
                "count (`madg-speech build-lexicon` makes such a file from running text)"
            )
        word = fields[0]
        if word not in spellings:
            spelling = vocabulary.transcript(word, lang).replace(" ", "")
            if not spelling:
                unspelt.append(word)
                continue
            spellings[word] = spelling
        if len(fields) == 2:
            counts[word] += int(fields[1])
    if not spellings:
        raise DataError(f"{path}: no word in it that can be spelt in {vocabulary.kind} letters")
    return Lexicon(spellings, dict(counts), tuple(unspelt))


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"lexicon {path}: {error.strerror}") from None
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x}); save the file as "
            f"UTF-8, for example by `iconv -f WINDOWS-1252 -t UTF-8 {path.name}`"
        ) from None
