"""Text of one language: the sentences to learn from, and the tenth to score while learning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from madg_speech.backbones.pieces import Tokenizer
from madg_speech.data.lines import read_lines
from madg_speech.data.rows import Problem
from madg_speech.data.text_corpus import REPEATED, Rows, TextCorpus, rank
from madg_speech.errors import DataError
from madg_speech.objectives.mlm import Numbers
from madg_speech.training.progress import say

WINDOW = 128  # pieces, as pretraining has it by default
DEV_SENTENCES = 200  # more would only cost time at each score
BROKEN = "lines that are not UTF-8"
SCORED = "lines that stand in --dev too"
UNKNOWN = "windows without a piece that the checkpoint's head knows"


def load_sentences(
    files: Sequence[Path],
    dev_file: Path | None,
    language: str,
    tokenizer: Tokenizer,
    known: Numbers,
) -> tuple[TextCorpus, TextCorpus]:
    """The windows to learn from and those to score; no sentence is on both sides.

    Without a dev file a tenth of the sentences, at most 200, is held out: those whose hashes come
    first, so that the choice depends on nothing else.

    Args:
        files: a sentence a line, under any name.
        dev_file: what to score; None to hold a tenth out.
        language: what the rows say they are (ISO 639-3).
        tokenizer: of the backbone.
        known: [V] the pieces that can be asked for.

    Raises:
        DataError: a file that cannot be read or is a manifest, nothing usable in them, or too little
            to hold any out.
    """
    left_out: dict[str, list[str]] = {}
    lines = _read(files, left_out)
    if dev_file is not None:
        unused: dict[str, list[str]] = {}
        scored = _read([dev_file], unused)
        both = lines.keys() & scored.keys()
        if both:
            left_out[SCORED] = [lines.pop(sentence) for sentence in sorted(both, key=rank)]
        train = _corpus(files, language, lines, tokenizer, known, left_out)
        dev = _corpus([dev_file], language, scored, tokenizer, known, unused)
    else:
        train, dev = _hold_out(_corpus(files, language, lines, tokenizer, known, left_out))
        count = len(set(dev.table["id"]))
        say(f"{count} sentences are held out for early stopping; --dev names others")
    say(f"train: {train.summary()}")
    say(f"dev: {dev.summary()}")
    return train, dev


def _read(files: Sequence[Path], left_out: dict[str, list[str]]) -> dict[str, str]:
    """Sentence -> where it stands."""
    found: dict[str, str] = {}
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected text, a sentence a line")
        for number, line in enumerate(read_lines(file)):
            if isinstance(line, Problem):
                left_out.setdefault(BROKEN, []).append(line.where)
                continue
            place, text = line
            if number == 0 and _is_entry(text):
                raise DataError(
                    f"{place}: a line of a JSONL manifest; expected plain text, a sentence a line"
                )
            sentence = " ".join(text.split())
            if sentence in found:
                left_out.setdefault(REPEATED, []).append(place)
            else:
                found[sentence] = place
    return found


def _is_entry(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _corpus(
    files: Sequence[Path],
    language: str,
    lines: dict[str, str],
    tokenizer: Tokenizer,
    known: Numbers,
    left_out: dict[str, list[str]],
) -> TextCorpus:
    """Windows in which something can be hidden, in order of their sentences' hashes."""
    rows = Rows(tokenizer, WINDOW)
    rows.add(language, sorted(lines.items(), key=lambda item: rank(item[0])), left_out)
    answers = set(known.tolist())
    askable = [not answers.isdisjoint(window[1:-1]) for window in rows.pieces]
    if not all(askable):
        left_out[UNKNOWN] = [
            place for place, good in zip(rows.ids, askable, strict=True) if not good
        ]
    if not any(askable):
        names = ", ".join(map(str, files))
        reasons = [f"{len(found)} {reason}" for reason, found in sorted(left_out.items())]
        why = f"left out: {', '.join(reasons)}" if reasons else "nothing but blank lines"
        raise DataError(f"no sentence to learn from in {names} ({why}); expected a sentence a line")
    corpus = rows.corpus(left_out, "")
    return _take(corpus, [number for number, good in enumerate(askable) if good], left_out)


def _hold_out(corpus: TextCorpus) -> tuple[TextCorpus, TextCorpus]:
    sentences = list(dict.fromkeys(corpus.table["id"]))
    if len(sentences) < 2:
        raise DataError(
            f"{len(sentences)} usable sentence: too few to hold any out for early stopping; give more, "
            "or a file to score with --dev"
        )
    chosen = set(sentences[: min(DEV_SENTENCES, max(1, round(len(sentences) / 10)))])
    sides: tuple[list[int], list[int]] = [], []
    for number, place in enumerate(corpus.table["id"]):
        sides[place in chosen].append(number)
    return _take(corpus, sides[0], corpus.left_out), _take(corpus, sides[1], {})


def _take(corpus: TextCorpus, rows: list[int], left_out: dict[str, list[str]]) -> TextCorpus:
    table = corpus.table.select(rows)
    places = set(table["id"])
    split = tuple(place for place in corpus.split if place in places)
    return TextCorpus(table, left_out, corpus.fingerprint, split)
