"""Text for masked language modelling: files named by language -> tables of pieces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset

from madg_speech.backbones.pieces import Tokenizer
from madg_speech.config.text import TextDataConfig
from madg_speech.data.corpus import Corpus
from madg_speech.errors import DataError, UnknownLanguageError
from madg_speech.languages import resolve
from madg_speech.progress import track
from madg_speech.splits import canonical

SMALL = "files of languages with too few lines"
UNKNOWN = "files of languages without a typological vector"
EXCLUDED = "files of excluded languages"
REPEATED = "repeated lines"
EMPTY = "lines that the tokenizer makes nothing of"


@dataclass(frozen=True)
class TextCorpus(Corpus):
    """Windows of pieces ready for training.

    ``table`` has the columns id (file and line), lang, pieces, length and number (of the row).

    Attributes:
        split: ids of the lines that were longer than a window.
    """

    split: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line: windows, pieces, languages, what was split or left out."""
        line = (
            f"{len(self.table)} windows, {sum(self.table['length']) / 1e6:.2f} M pieces, "
            f"{len(self.languages)} languages"
        )
        if self.split:
            line += f"; {len(self.split)} long sentences were split (e.g. {self.split[0]})"
        counts = [f"{len(v)} {k} (e.g. {v[0]})" for k, v in sorted(self.left_out.items())]
        return f"{line}; left out: {', '.join(counts)}" if counts else line

    def counts(self, vocabulary: int) -> np.ndarray:
        """How often each piece occurs between the special ones, [vocabulary]."""
        lists = self.table.data["pieces"].combine_chunks()
        pieces, ends = lists.flatten().to_numpy(), np.cumsum(self.table["length"])
        special = np.concatenate([pieces[ends - 1], pieces[np.r_[0, ends[:-1]]]])
        total: np.ndarray = np.bincount(pieces, minlength=vocabulary)
        return total - np.bincount(special, minlength=vocabulary)


def load_texts(
    files: Sequence[Path],
    config: TextDataConfig,
    tokenizer: Tokenizer,
    notify: Callable[[str], None],
) -> tuple[TextCorpus, TextCorpus | None]:
    """Read and split text files; what to train on, and what to score (None without dev languages).

    Args:
        files: named by language (any code); two files of one language are read as one.
        config: what to leave out and to hold out.
        tokenizer: of the backbone.
        notify: told of macrolanguages that were resolved.

    Raises:
        DataError: a file that is no UTF-8, dev languages without text, or nothing to train on.
    """
    left_out: dict[str, list[str]] = {}
    lines = _read(files, left_out, notify)
    excluded = {canonical(code) for code in config.exclude_languages}
    wanted = {canonical(code) for code in config.dev_languages}
    if missing := wanted - lines.keys():
        raise DataError(f"dev languages without a text file: {', '.join(sorted(missing))}")
    train, dev = Rows(tokenizer, config.window), Rows(tokenizer, config.window)
    for language, found in track(sorted(lines.items()), "text to pieces"):
        ordered = sorted(found.items(), key=lambda item: rank(item[0]))
        if language in wanted:
            dev.add(language, ordered[: config.dev_per_language], left_out)
            ordered = ordered[config.dev_per_language :]
        if language in excluded:
            left_out.setdefault(EXCLUDED, []).append(language)
        elif len(ordered) < config.min_lines:
            left_out.setdefault(SMALL, []).append(language)
        else:
            train.add(language, ordered[: config.max_lines], left_out)
    if not train.ids:
        raise DataError(f"nothing to train on in {len(files)} files: {left_out or 'all are empty'}")
    rules = hashlib.blake2b(config.model_dump_json().encode(), digest_size=16)
    return (
        train.corpus(left_out, rules.hexdigest()),
        dev.corpus({}, rules.hexdigest()) if dev.ids else None,
    )


def _read(
    files: Sequence[Path], left_out: dict[str, list[str]], notify: Callable[[str], None]
) -> dict[str, dict[str, str]]:
    """Language -> sentence -> where it stands."""
    lines: dict[str, dict[str, str]] = {}
    for file in files:
        try:
            language = resolve(file.stem, notify).iso
        except UnknownLanguageError:
            left_out.setdefault(UNKNOWN, []).append(file.name)
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None
        found = lines.setdefault(language, {})
        for number, line in enumerate(text.split("\n"), start=1):
            sentence = " ".join(line.split())
            if sentence in found:
                left_out.setdefault(REPEATED, []).append(f"{file.name}:{number}")
            elif sentence:
                found[sentence] = f"{file.name}:{number}"
    return lines


class Rows:
    """Columns of a table, filled language by language.

    Args:
        tokenizer: of the backbone.
        window: most pieces in a row; longer sentences become several.
    """

    def __init__(self, tokenizer: Tokenizer, window: int):
        self.tokenizer, self.window = tokenizer, window
        self.ids: list[str] = []
        self.languages: list[str] = []
        self.pieces: list[list[int]] = []
        self.split: list[str] = []

    def add(
        self, language: str, lines: Sequence[tuple[str, str]], left_out: dict[str, list[str]]
    ) -> None:
        """Rows of sentences and their places; those without any piece go to ``left_out``."""
        if not lines:
            return
        texts, places = zip(*lines, strict=True)
        for place, windows in zip(places, self.tokenizer(texts, self.window), strict=True):
            if not windows:
                left_out.setdefault(EMPTY, []).append(place)
            elif len(windows) > 1:
                self.split.append(place)
            self.ids += [place] * len(windows)
            self.languages += [language] * len(windows)
            self.pieces += windows

    def corpus(self, left_out: dict[str, list[str]], rules: str) -> TextCorpus:
        """The table; its fingerprint covers ``rules``, what chose the sentences."""
        columns = {
            "id": self.ids,
            "lang": self.languages,
            "pieces": self.pieces,
            "length": [len(pieces) for pieces in self.pieces],
            "number": list(range(len(self.ids))),
        }
        digest = hashlib.blake2b(rules.encode(), digest_size=16)
        for row in zip(self.ids, self.languages, self.pieces, strict=True):
            digest.update(json.dumps(row).encode())
        return TextCorpus(
            Dataset.from_dict(columns), left_out, digest.hexdigest(), tuple(self.split)
        )


def rank(sentence: str) -> bytes:
    """Orders sentences by nothing but themselves: the first ones are held out."""
    return hashlib.blake2b(sentence.encode(), digest_size=8).digest()
