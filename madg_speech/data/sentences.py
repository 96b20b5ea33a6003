"""Annotated sentences of any layout, and the folders ``<iso>/{train,dev,test}`` that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from madg_speech.data.rows import Problem
from madg_speech.data.sentence import Sentence, Sentences
from madg_speech.errors import DataError
from madg_speech.languages import resolve
from madg_speech.tasks.labels import Task


@dataclass(frozen=True)
class Split:
    """The usable sentences of one split by language (ISO 639-3), and what was not usable and why.

    Attributes:
        sentences: of each language that has any.
        problems: every sentence that is not usable, by language; each language without usable ones
            is here too.
    """

    sentences: dict[str, list[Sentence]] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=dict)

    def reasons(self) -> dict[str, list[str]]:
        """Reason -> places."""
        return _by_reason(problem for found in self.problems.values() for problem in found)

    def summary(self) -> str:
        """One line: how many sentences of which languages, what was left out."""
        count = sum(map(len, self.sentences.values()))
        line = f"{count} sentences in {', '.join(self.sentences) or 'no language'}"
        if bare := sorted(self.problems.keys() - self.sentences.keys()):
            line += f"; nothing usable in {', '.join(bare)}"
        for reason, places in self.reasons().items():
            line += f"; left out: {len(places)} x {reason} (first: {places[0]})"
        return line


def read_sentences(path: Path, task: Task) -> Sentences:
    """Sentences of a ``.conllu`` file, or of one with a ``token TAG`` a line, checked for ``task``."""
    from madg_speech.data.conllu import read_conllu
    from madg_speech.data.tagged import read_tagged

    if path.suffix == ".conllu":
        return read_conllu(path, (task,))
    return read_tagged(path, task)


def find_split(folder: Path, split: str) -> dict[str, Path]:
    """ISO 639-3 code -> ``folder/<code>/<split>.conllu`` or ``.txt``, for each language that has one.

    Raises:
        DataError: no language has the split, or two folders are one language.
        UnknownLanguageError: a folder's name is no language.
    """
    found: dict[str, Path] = {}
    for suffix in (".conllu", ".txt"):
        for path in sorted(folder.glob(f"*/{split}{suffix}")):
            iso = resolve(path.parent.name).iso
            if iso in found:
                raise DataError(f"{found[iso]} and {path} are both in {iso}: keep one")
            found[iso] = path
    if not found:
        raise DataError(f"{folder}: no <language>/{split}.conllu or <language>/{split}.txt in it")
    return found


def read_split(
    folder: Path,
    split: str,
    task: Task,
    languages: Sequence[str] | None = None,
    limit: int | None = None,
) -> Split:
    """Read one split of every language, or of those asked for.

    Args:
        folder: holds a folder a language.
        split: train, dev or test.
        task: what the sentences must have.
        languages: ISO 639-3; all when None.
        limit: at most so many sentences of each, the first.

    Raises:
        DataError: a language that is asked for has no such file, or no usable sentence in it.
    """
    paths = find_split(folder, split)
    missing = sorted(set(languages or ()) - paths.keys())
    if missing:
        raise DataError(
            f"{folder}: no {split} file in {', '.join(missing)}; it has {', '.join(sorted(paths))}"
        )
    read = Split()
    for iso in languages if languages is not None else sorted(paths):
        usable: list[Sentence] = []
        problems: list[Problem] = []
        for sentence in read_sentences(paths[iso], task):
            if isinstance(sentence, Problem):
                problems.append(sentence)
            elif limit is None or len(usable) < limit:
                usable.append(sentence)
        if problems or not usable:
            read.problems[iso] = problems
        if usable:
            read.sentences[iso] = usable
        elif languages is not None:
            raise DataError(_nothing(paths[iso], task, problems))
    return read


def _by_reason(problems: Iterable[Problem]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.reason, []).append(problem.where)
    return found


def _nothing(path: Path, task: Task, problems: Sequence[Problem]) -> str:
    reasons = "; ".join(
        f"{len(places)} x {reason} (first: {places[0]})"
        for reason, places in _by_reason(problems).items()
    )
    return f"{path}: no sentence for {task} in it" + (f": {reasons}" if reasons else "")
