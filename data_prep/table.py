"""Your own recordings: a csv or tsv file that names audio files and what is said in them.

Any file that soundfile reads (wav, flac, ogg, mp3) or that PyAV reads (m4a, webm, mp4 and so on).
Audio stays where it is; manifests point at it. A row that cannot be used is named, not fatal.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

import soundfile
from rich.console import Console
from rich.progress import track

from madg_speech.data.manifest import Utterance, write_manifest
from madg_speech.errors import ConfigError, DataError, UnknownLanguageError
from madg_speech.languages import language_code

AUDIO_COLUMNS = ("audio", "path", "file", "filename", "wav")
TEXT_COLUMNS = ("text", "sentence", "transcript", "transcription")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


@dataclass(frozen=True)
class Columns:
    """Which column holds what; None: the first usual name that the file has."""

    audio: str | None = None
    text: str | None = None
    lang: str | None = None
    speaker: str | None = None


@dataclass
class TableReport:
    """How many utterances were written, how long they are, and which rows were left out and why."""

    train: int = 0
    dev: int = 0
    seconds: float = 0.0
    rejected: list[str] = field(default_factory=list)


def prepare_table(
    table: Path,
    out: Path,
    lang: str | None = None,
    columns: Columns | None = None,
    dev: float = 0.1,
) -> TableReport:
    """Write ``out/train.jsonl`` and ``out/dev.jsonl`` from a csv or tsv file with a header line.

    Args:
        table: UTF-8 file; the delimiter (comma, tab, semicolon, bar) is found from its header.
            Audio paths are relative to its folder.
        out: folder of the manifests.
        lang: code or name of every row's language, unless a column says it.
        columns: names of the columns, where they are not the usual ones.
        dev: share held out, 0 to below 1: whole speakers where two or more are named, rows
            otherwise; ranked by a hash, so the same rows always fall on the same side.

    Raises:
        ConfigError: a column, or the language, is missing.
        UnknownLanguageError: ``lang`` is no language.
        DataError: the file is missing, not UTF-8, or no row of it can be used.
    """
    if not 0 <= dev < 1:
        raise ConfigError(f"--dev {dev}: expected a share from 0 to below 1")
    columns = columns or Columns()
    if lang is not None:
        lang = language_code(lang, _tell)
    if (lang is None) == (columns.lang is None):
        raise ConfigError("give the language of all rows (--lang) or its column (--lang-column)")
    report = TableReport()
    usable: list[Utterance] = []
    rows = list(_read_rows(table, columns))
    seen: dict[Path, int] = {}
    for line, row in track(rows, "reading audio", console=Console(stderr=True)):
        path, text = (table.parent / row["audio"]).resolve(), " ".join(row["text"].split())
        speaker = row["speaker"] or None
        if path in seen:
            report.rejected.append(f"{table}:{line}: {row['audio']} was used in line {seen[path]}")
            continue
        code, problem = (lang, None) if lang else _code(row["lang"])
        problem = problem or _problem(path, text)
        seconds = 0.0 if problem else _duration(path)
        if problem or not seconds > 0:
            problem = problem or "no audio in it, or not decodable"
            report.rejected.append(f"{table}:{line}: {row['audio'] or '(no file)'}: {problem}")
            continue
        seen[path] = line
        name = f"{code}-{path.stem}-{_digest(row['audio']):08x}"
        usable.append(Utterance(name, path, text, code, seconds, speaker, table.name))
    if not usable:
        raise DataError(f"{table}: no row can be used\n  " + "\n  ".join(report.rejected[:10]))
    train, held_out = _split(usable, dev)
    report.train, report.dev = len(train), len(held_out)
    report.seconds = sum(utterance.seconds for utterance in usable)
    write_manifest(out / "train.jsonl", train)
    if held_out:
        write_manifest(out / "dev.jsonl", held_out)
    return report


def _split(usable: list[Utterance], dev: float) -> tuple[list[Utterance], list[Utterance]]:
    """Train and dev: by speaker where two or more are named, else by row; train is never empty."""
    speakers = {utterance.speaker for utterance in usable}
    unit = {u.id: (u.speaker or "") if len(speakers) > 1 else u.id for u in usable}
    units = sorted(set(unit.values()), key=_digest)
    count = min(max(1, round(dev * len(units))), len(units) - 1) if dev else 0
    chosen = set(units[:count])
    return (
        [utterance for utterance in usable if unit[utterance.id] not in chosen],
        [utterance for utterance in usable if unit[utterance.id] in chosen],
    )


def _read_rows(table: Path, columns: Columns) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by role; absent optional columns give ""."""
    try:
        content = table.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no such file: {table}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: not UTF-8 (byte {error.start}); convert it first") from None
    lines = content.splitlines(keepends=True)
    if not lines:
        raise DataError(f"{table}: empty; expected a header line with column names")
    delimiter = max("\t,;|", key=lines[0].count)
    reader = csv.DictReader(lines, delimiter=delimiter, restval="")
    header = list(reader.fieldnames or [])
    roles = {
        "audio": _column(table, header, columns.audio, AUDIO_COLUMNS, "--audio-column"),
        "text": _column(table, header, columns.text, TEXT_COLUMNS, "--text-column"),
    }
    if columns.lang is not None:
        roles["lang"] = _column(table, header, columns.lang, (), "--lang-column")
    if columns.speaker is not None or set(header) & set(SPEAKER_COLUMNS):
        roles["speaker"] = _column(
            table, header, columns.speaker, SPEAKER_COLUMNS, "--speaker-column"
        )
    for row in reader:
        cells = {role: (row[column] or "").strip() for role, column in roles.items()}
        yield reader.line_num, {"lang": "", "speaker": ""} | cells


def _column(
    table: Path, header: list[str], asked: str | None, usual: tuple[str, ...], option: str
) -> str:
    for name in (asked,) if asked is not None else usual:
        if name in header:
            return name
    wanted = repr(asked) if asked is not None else " or ".join(usual)
    raise ConfigError(
        f"{table}: no column {wanted}; it has {', '.join(header)}: name it by {option}"
    )


def _tell(notice: str) -> None:
    Console(stderr=True).print(notice, markup=False, soft_wrap=True)


@cache
def _code(said: str) -> tuple[str, str | None]:
    """ISO 639-3 code of what a language column says, or what is wrong with it."""
    if not said:
        return "", "no language"
    try:
        return language_code(said, _tell), None
    except UnknownLanguageError as error:
        return "", str(error)


def _problem(path: Path, text: str) -> str | None:
    if not path.is_file():
        return f"no such file (looked for {path})"
    return None if text else "empty text"


def _duration(path: Path) -> float:
    """Seconds of audio in a file; 0 where nothing can be decoded."""
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        pass
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                return 0.0
            frames = container.decode(audio=0)  # headers of webm often lack a duration
            return float(sum(frame.samples / frame.sample_rate for frame in frames))
    except av.FFmpegError:
        return 0.0


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest())
