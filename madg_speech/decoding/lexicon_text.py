"""A lexicon and an n-gram model from running text, as the lexicon decoder reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import regex

from madg_speech.cache import atomic_path
from madg_speech.decoding.ngrams import NgramModel
from madg_speech.errors import DataError
from madg_speech.text.normalize import normalize

LEXICON, MODEL = "lexicon.txt", "lm.arpa"
# Chinese and Japanese write no spaces: a character is a word.
_CHARACTER = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]\p{M}*")
_SENTENCE_END = regex.compile(r"(?<=[.!?\u0589\u061f\u06d4\u0964\u1362\u3002])\s+|\n+")


@dataclass(frozen=True)
class LexiconReport:
    """What was made of a text."""

    words: int
    left_out: int
    sentences: int
    ngrams: tuple[int, ...]


def build_lexicon(
    texts: Iterable[Path], folder: Path, *, max_words: int = 100_000, order: int = 3
) -> LexiconReport:
    """Write ``lexicon.txt`` (word TAB count, most frequent first) and ``lm.arpa``.

    Text is normalised as for training: lower case, no punctuation; what holds a digit is no word,
    for digits are not spelt. Words are what stands between spaces; in Chinese and Japanese, a
    character. Thai, Lao, Khmer and Burmese text must come with words separated.

    Args:
        texts: UTF-8 files; sentences end at line ends and final punctuation.
        folder: made if it does not exist.
        max_words: of the lexicon; in the model the others are ``<unk>``.
        order: longest n-gram of the model, 2 to 6.

    Raises:
        DataError: a file is missing or not UTF-8, or holds no words.
    """
    sentences = [sentence for path in texts for sentence in _sentences(path)]
    counts = Counter(word for sentence in sentences for word in sentence if _is_word(word))
    if not counts:
        raise DataError("no words in the text: plain text in the language's own script is expected")
    kept = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:max_words]
    model = NgramModel(sentences, order, [word for word, _ in kept])
    with atomic_path(folder / LEXICON) as draft:
        draft.write_text("".join(f"{word}\t{count}\n" for word, count in kept), encoding="utf-8")
    model.save_arpa(folder / MODEL)
    sizes = tuple(len(table) for table in model.probabilities)
    return LexiconReport(len(kept), len(counts) - len(kept), len(sentences), sizes)


def _sentences(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    for sentence in _SENTENCE_END.split(text):
        words = _CHARACTER.sub(r" \g<0> ", normalize(sentence)).split()
        if words:
            yield words


def _is_word(text: str) -> bool:
    return not any(char.isdigit() for char in text)
