"""From a corpus's rows to manifests: languages, checks in parallel, streaming, summary, resumption.

Memory does not grow with the corpus: rows pass through in chunks, and what must be remembered of
all of them (ids, speakers, earlier outcomes) lies in SQLite files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from madg_speech.cache import atomic_path
from madg_speech.data.lines import Lookup
from madg_speech.data.rows import Embedded, LayoutError, Problem, Request, Row, Rows
from madg_speech.data_prep.archives import is_archive, unpack
from madg_speech.data_prep.checks import Outcome, check_rows
from madg_speech.data_prep.codes import Codes
from madg_speech.data_prep.corpora import CORPORA, looks_like
from madg_speech.data_prep.journal import Journal
from madg_speech.errors import ConfigError, DataError

CHUNK = 200  # rows
CHUNK_BYTES = 16_000_000  # of embedded audio


@dataclass(frozen=True)
class Options:
    """How to prepare a corpus.

    Attributes:
        lang: language of rows that do not say theirs.
        langs: only these (any code or name); all if empty.
        splits: only these; the usual ones if empty.
        dev: share of speakers (of utterances, where none is named) held out of what has no split.
        license: written into rows of which the corpus does not say it.
        jobs: processes; None: one a core.
        fresh: look again at audio that an earlier run found usable.
    """

    lang: str | None = None
    langs: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    dev: float = 0.05
    license: str | None = None
    jobs: int | None = None
    fresh: bool = False


@dataclass
class Part:
    """What one manifest holds of one language."""

    utterances: int = 0
    seconds: float = 0.0
    speakers: int = 0


@dataclass
class Summary:
    """What was written, what was not and why, and what the user should know.

    Attributes:
        parts: by language (ISO 639-3) and split.
        skipped: reason -> how many, and the first three places; all of them are in skipped.tsv.
        notes: choices that were made for the user.
    """

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    skipped: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def reasons(self) -> str:
        """Every reason with its count and first place, one a line."""
        return "\n".join(
            f"  {count} x {reason} (first: {places[0]})"
            for reason, (count, places) in sorted(self.skipped.items(), key=lambda kv: -kv[1][0])
        )


def prepare(corpus: str, path: Path, out: Path, options: Options | None = None) -> Summary:
    """Write ``out/<split>.jsonl``, ``out/skipped.tsv`` and ``out/summary.json`` from a local corpus.

    Audio that is a file stays where it is; segments and embedded audio go to ``out/audio``.
    Started again, a run does not read audio again that it found usable, and retries the rest.

    Args:
        corpus: a name of ``CORPORA``.
        path: its folder, or an archive of it, which is unpacked below ``out``.
        out: folder of the manifests.
        options: what to leave out, and how.

    Raises:
        ConfigError: an option that does not fit.
        DataError: ``path`` is not such a corpus, or nothing of it can be used; says why.
        UnknownLanguageError: a language among the options that is none.
    """
    options = options or Options()
    if not 0 <= options.dev < 1:
        raise ConfigError(f"--dev {options.dev}: expected a share from 0 to below 1")
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    folder = unpack(path, out / "unpacked") if is_archive(path) else path.resolve()
    reader = import_module(CORPORA[corpus].module)
    languages = Codes(reader.CODES, options.langs)
    request = Request(options.lang, options.splits or None, languages.wanted, out / "unpacked")
    run = _Run(corpus, out, replace(options, license=options.license or reader.LICENSE), languages)
    try:
        return run.write(reader.rows(folder, request))
    except LayoutError as error:
        raise DataError(f"{error}{looks_like(folder, corpus)}") from None


class _Run:
    """One pass over a corpus."""

    def __init__(self, corpus: str, out: Path, options: Options, languages: Codes) -> None:
        self._corpus, self._out, self._options, self._languages = corpus, out, options, languages
        self._seen = Lookup()  # ids and speakers
        self._summary = Summary(notes=languages.notes)
        self._manifests: dict[str, TextIO] = {}

    def write(self, rows: Rows) -> Summary:
        with ExitStack() as stack:
            self._files = stack
            self._skipped = self._open("skipped.tsv")
            progress = stack.enter_context(_progress())
            task = progress.add_task(f"preparing {self._corpus}", total=None)
            for chunk, outcomes in _checked(self._chunks(rows), self._out, self._options):
                for (row, iso), outcome in zip(chunk, outcomes, strict=True):
                    self._write_row(row, iso, outcome)
                progress.advance(task, len(chunk))
            if not self._summary.parts:
                raise DataError(
                    f"nothing of this {self._corpus} corpus can be used\n{self._reasons()}"
                )
        self._write_summary()
        return self._summary

    def _reasons(self) -> str:
        notes = "\n".join(f"  {note}" for note in self._summary.notes)
        return (
            self._summary.reasons() + ("\n" + notes if notes else "") or "  there is no row in it"
        )

    def _chunks(self, rows: Rows) -> Iterator[list[tuple[Row, str]]]:
        chunk: list[tuple[Row, str]] = []
        size = 0
        for row in rows:
            if isinstance(row, Problem):
                self._skip(row.reason, row.where)
                continue
            if not self._languages.wanted(row.lang):
                continue
            iso = self._languages.iso(row.lang)
            if iso is None:
                self._skip(f"unknown language code {row.lang!r}", row.id)
                continue
            row = replace(row, split=row.split or self._drawn_split(row))
            if self._options.splits and row.split not in self._options.splits:
                continue
            chunk.append((row, iso))
            size += len(row.audio.data) if isinstance(row.audio, Embedded) else 0
            if len(chunk) == CHUNK or size > CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _drawn_split(self, row: Row) -> str:
        """By a hash, so that a speaker is always on the same side."""
        unit = f"{row.lang}/{row.speaker or row.id}".encode()
        drawn = int.from_bytes(blake2b(unit, digest_size=4).digest()) / 2**32
        return "dev" if drawn < self._options.dev else "train"

    def _write_row(self, row: Row, iso: str, outcome: Outcome) -> None:
        where = row.id if isinstance(row.audio, Embedded) else f"{row.id} {row.audio}"
        if isinstance(outcome, str):
            self._skip(outcome, where)
            return
        name = f"{self._corpus}-{iso}-{row.id}"
        if not self._seen.add(f"id {row.split} {name}"):
            self._skip("id that was used before", where)
            return
        audio, seconds = outcome
        fields = {
            "id": name,
            "audio": audio,
            "text": " ".join(row.text.split()),
            "lang": iso,
            "seconds": seconds,
            "speaker": row.speaker,
            "source": self._corpus,
            "license": row.license or self._options.license,
        }
        kept = {key: value for key, value in fields.items() if value is not None}
        if row.split not in self._manifests:
            self._manifests[row.split] = self._open(f"{row.split}.jsonl")
        self._manifests[row.split].write(json.dumps(kept, ensure_ascii=False) + "\n")
        part = self._summary.parts.setdefault((iso, row.split), Part())
        part.utterances += 1
        part.seconds += seconds
        if row.speaker and self._seen.add(f"speaker {iso} {row.split} {row.speaker}"):
            part.speakers += 1

    def _skip(self, reason: str, where: str) -> None:
        count, places = self._summary.skipped.get(reason, (0, []))
        self._summary.skipped[reason] = (count + 1, places if count >= 3 else [*places, where])
        self._skipped.write(f"{reason}\t{where}\n")

    def _open(self, name: str) -> TextIO:
        draft = self._files.enter_context(atomic_path(self._out / name))
        return self._files.enter_context(draft.open("w", encoding="utf-8"))

    def _write_summary(self) -> None:
        content = {
            "corpus": self._corpus,
            "parts": [
                {"lang": iso, "split": split, **vars(part), "seconds": round(part.seconds, 3)}
                for (iso, split), part in sorted(self._summary.parts.items())
            ],
            "skipped": {reason: count for reason, (count, _) in self._summary.skipped.items()},
            "notes": self._summary.notes,
        }
        with atomic_path(self._out / "summary.json") as draft:
            draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _checked(
    chunks: Iterator[list[tuple[Row, str]]], out: Path, options: Options
) -> Iterator[tuple[list[tuple[Row, str]], list[Outcome]]]:
    """Chunks with their outcomes, in order; a few at a time are under way in other processes."""
    jobs = options.jobs or os.cpu_count() or 1
    journal = Journal(out / ".prepare.sqlite", options.fresh)
    if jobs == 1:
        for chunk in chunks:
            key, known = journal.find(chunk)
            yield chunk, journal.keep(key, check_rows(chunk, known, out))
        return
    waiting: deque[tuple[list[tuple[Row, str]], bytes, Future[list[Outcome]]]] = deque()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for chunk in chunks:
            key, known = journal.find(chunk)
            waiting.append((chunk, key, pool.submit(check_rows, chunk, known, out)))
            if len(waiting) > 2 * jobs:
                done, key, future = waiting.popleft()
                yield done, journal.keep(key, future.result())
        while waiting:
            done, key, future = waiting.popleft()
            yield done, journal.keep(key, future.result())


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
