"""Text corpora -> one folder a language: ``<iso>/{train,dev,test}.conllu`` or ``.txt``, or ``<iso>.txt``.

What cannot be used is counted, and named with file and line in ``skipped.tsv``; ``summary.json`` says
what came from where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console
from rich.progress import track

from madg_speech.cache import atomic_path
from madg_speech.data.conllu import read_conllu, write_conllu
from madg_speech.data.lines import read_lines
from madg_speech.data.rows import Problem
from madg_speech.data.sentence import Sentence
from madg_speech.data.tagged import read_tagged, write_tagged
from madg_speech.data_prep.archives import is_archive, unpack
from madg_speech.data_prep.codes import Codes
from madg_speech.errors import DataError

Kind = Literal["trees", "pos", "ner", "lines"]


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file of a text corpus.

    Attributes:
        path: the file.
        lang: the corpus's own code or name of the language.
        split: train, dev or test; empty where there is none.
        part: what it belongs to, such as a treebank.
        license: as the corpus says it.
        prefix: stands before each token.
    """

    path: Path
    lang: str
    split: str = ""
    part: str = ""
    license: str | None = None
    prefix: str = ""


@dataclass(frozen=True)
class TextCorpus:
    """A corpus and the module that finds its files.

    Attributes:
        module: has ``files(path, lang, scratch)``, ``CODES`` as speech corpora have, and ``LICENSE``.
        kind: what its files hold.
        help: for the command line.
    """

    module: str
    kind: Kind
    help: str


_HERE = "madg_speech.data_prep"
TEXT_CORPORA = {
    "ud": TextCorpus(
        f"{_HERE}.ud", "trees", "Universal Dependencies: a release, or single treebank folders."
    ),
    "masakhaner": TextCorpus(
        f"{_HERE}.masakhane", "ner", "MasakhaNER 1 and 2: the repository or a folder of languages."
    ),
    "masakhapos": TextCorpus(
        f"{_HERE}.masakhane", "pos", "MasakhaPOS: the repository or a folder of languages."
    ),
    "wikiann": TextCorpus(
        f"{_HERE}.wikiann", "ner", "WikiANN (PAN-X): a folder or tar.gz for each language."
    ),
    "text": TextCorpus(
        f"{_HERE}.plain_text",
        "lines",
        "Plain text, a sentence a line: <language>.txt files, or one.",
    ),
}


@dataclass
class TextSummary:
    """What was written, what was not and why, and what the user should know.

    Attributes:
        parts: sentences and words by language (ISO 639-3) and split.
        sources: what each language's sentences came from.
        licenses: as the corpus says them.
        skipped: reason -> how many, and the first three places; all of them are in skipped.tsv.
        notes: choices that were made for the user.
    """

    parts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    licenses: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def reasons(self) -> str:
        """Every reason with its count and first place, one a line."""
        return "\n".join(
            f"  {count} x {reason} (first: {places[0]})"
            for reason, (count, places) in sorted(self.skipped.items(), key=lambda kv: -kv[1][0])
        )


def prepare_text(
    corpus: str,
    path: Path,
    out: Path,
    langs: tuple[str, ...] = (),
    lang: str | None = None,
) -> TextSummary:
    """Write a text corpus in the layout that training, evaluation and ``pretrain`` read.

    Args:
        corpus: a name of ``TEXT_CORPORA``.
        path: its folder, a file of it, or an archive, which is unpacked below ``out``.
        out: a folder or file for each language goes there.
        langs: only these; all if empty.
        lang: language of a file that does not say its own.

    Raises:
        DataError: ``path`` is not such a corpus (LayoutError), or nothing of it can be used.
        UnknownLanguageError: a language among the options that is none.
    """
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    out = out.resolve()
    folder = unpack(path, out / "unpacked") if is_archive(path) else path.resolve()
    chosen = TEXT_CORPORA[corpus]
    finder = import_module(chosen.module)
    languages = Codes(finder.CODES, langs)
    summary = TextSummary(notes=languages.notes)
    found: list[TextFile] = finder.files(folder, lang, out / "unpacked")
    with ExitStack() as files:
        skipped = _open(files, out / "skipped.tsv")
        opened: dict[Path, TextIO] = {}
        seen: dict[str, set[str]] = {}
        console = Console(stderr=True)
        for file in track(found, f"preparing {corpus}", console=console, transient=True):
            if not languages.wanted(file.lang):
                continue
            iso = languages.iso(file.lang)
            if iso is None:
                _skip(summary, skipped, f"unknown language code {file.lang!r}", str(file.path))
                continue
            target = out / _name(chosen.kind, iso, file.split)
            _note_source(summary, iso, file, finder.LICENSE)
            for entry in _read(file, chosen.kind, seen.setdefault(iso, set())):
                if isinstance(entry, Problem):
                    _skip(summary, skipped, entry.reason, entry.where)
                    continue
                text, words = entry
                if target not in opened:
                    opened[target] = _open(files, target)
                opened[target].write(text)
                sentences, before = summary.parts.get((iso, file.split), (0, 0))
                summary.parts[iso, file.split] = sentences + 1, before + words
        if not summary.parts:
            raise DataError(f"nothing of this {corpus} corpus can be used\n{summary.reasons()}")
    _write_summary(summary, corpus, out)
    return summary


def _name(kind: Kind, iso: str, split: str) -> str:
    if kind == "lines":
        return f"{iso}.txt"
    return f"{iso}/{split}.{'conllu' if kind == 'trees' else 'txt'}"


def _read(file: TextFile, kind: Kind, seen: set[str]) -> Iterator[tuple[str, int] | Problem]:
    """Each sentence as it is written, and its words."""
    if kind == "lines":
        yield from _lines(file.path, seen)
        return
    write: Callable[[Sentence], str] = write_conllu if kind == "trees" else write_tagged
    read = (
        partial(read_conllu, tasks=("pos", "parse"))
        if kind == "trees"
        else partial(read_tagged, task=kind, prefix=file.prefix)
    )
    for sentence in read(file.path):
        if isinstance(sentence, Problem):
            yield sentence
        else:
            yield write(sentence), len(sentence.words)


def _lines(path: Path, seen: set[str]) -> Iterator[tuple[str, int] | Problem]:
    for line in read_lines(path):
        if isinstance(line, Problem):
            yield line
            continue
        place, text = line
        words = text.split()
        tidy = " ".join(words)
        if tidy in seen:
            yield Problem("line that was there before", place)
        else:
            seen.add(tidy)
            yield f"{tidy}\n", len(words)


def _note_source(summary: TextSummary, iso: str, file: TextFile, license: str | None) -> None:
    sources = summary.sources.setdefault(iso, [])
    if file.part and file.part not in sources:
        sources.append(file.part)
    known = file.license or license
    licenses = summary.licenses.setdefault(iso, [])
    if known and known not in licenses:
        licenses.append(known)


def _skip(summary: TextSummary, skipped: TextIO, reason: str, where: str) -> None:
    count, places = summary.skipped.get(reason, (0, []))
    summary.skipped[reason] = (count + 1, places if count >= 3 else [*places, where])
    skipped.write(f"{reason}\t{where}\n")


def _open(files: ExitStack, path: Path) -> TextIO:
    draft = files.enter_context(atomic_path(path))
    return files.enter_context(draft.open("w", encoding="utf-8"))


def _write_summary(summary: TextSummary, corpus: str, out: Path) -> None:
    content = {
        "corpus": corpus,
        "parts": [
            {"lang": iso, "split": split, "sentences": sentences, "words": words}
            for (iso, split), (sentences, words) in sorted(summary.parts.items())
        ],
        "sources": summary.sources,
        "licenses": summary.licenses,
        "skipped": {reason: count for reason, (count, _) in summary.skipped.items()},
        "notes": summary.notes,
    }
    with atomic_path(out / "summary.json") as draft:
        draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
