"""Kaldi data folders: wav.scp, text, and optionally segments, utt2spk, utt2lang, utt2dur.

Layout: kaldi-asr.org/doc/data_prep.html. Commands in wav.scp are never run: those that only decode
a file (sph2pipe, flac, cat) are read as that file. Paths there are from another machine as a rule:
one that does not exist is looked for by its name below the folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from madg_speech.data.lines import Lookup, read_pairs
from madg_speech.data.rows import SPLITS, LayoutError, Problem, Request, Row, Rows, find

LICENSE = None
CODES: dict[str, str] = {}
_DECODERS = ("sph2pipe", "flac", "cat")


def rows(path: Path, request: Request) -> Rows:
    """A data folder, or a folder of several, each a split of its name.

    Raises:
        LayoutError: no wav.scp, or one without text beside it; neither utt2lang nor a language.
    """
    folders = [found.parent for found in find(path, "wav.scp")]
    if not folders:
        raise LayoutError(
            f"{path}: no wav.scp in it or below; a Kaldi data folder has wav.scp and text"
        )
    for folder in folders:
        known = SPLITS.get(folder.name)
        split = known or (folder.name if len(folders) > 1 else "")
        if request.splits is None or split in (*request.splits, ""):
            yield from read_folder(folder, request.lang, split)


def read_folder(folder: Path, lang: str | None, split: str) -> Rows:
    """One data folder; ``lang`` is the language of utterances that utt2lang does not have.

    Raises:
        LayoutError: as ``rows``.
    """
    if not (folder / "text").is_file():
        raise LayoutError(
            f"{folder}: wav.scp, but no file named text; only transcribed speech is of use"
        )
    if lang is None and not (folder / "utt2lang").is_file():
        raise LayoutError(f"{folder}: no language: add utt2lang, or give --lang")
    recordings = Lookup.of(folder / "wav.scp")
    speakers, languages, lengths, segments = (
        Lookup.of(folder / name) for name in ("utt2spk", "utt2lang", "utt2dur", "segments")
    )
    cut = (folder / "segments").is_file()
    moved = _Moved(folder)
    yield from _unreadable(folder)
    for line in read_pairs(folder / "text"):
        if isinstance(line, Problem):
            yield line
            continue
        place, name, text = line
        recording, start, end = name, None, None
        if cut:
            parts = (segments.get(name) or "").split()
            try:
                recording, start, end = parts[0], float(parts[1]), float(parts[2])
            except (IndexError, ValueError):
                yield Problem("utterance without a line in segments", place)
                continue
        source = recordings.get(recording)
        if source is None:
            yield Problem("utterance without a line in wav.scp", place)
            continue
        file = _decoded_file(source)
        if file is None:
            yield Problem("command in wav.scp: only files are read, nothing is run", place)
            continue
        language = languages.get(name) or lang
        if language is None:
            yield Problem("utterance without a line in utt2lang", place)
            continue
        length = None if cut else _number(lengths.get(name))
        audio = moved.find(file[0])
        yield Row(
            name, audio, text, language, split, speakers.get(name), start, end, file[1], length
        )


def _unreadable(folder: Path) -> Iterator[Problem]:
    """Lines that Lookup leaves out in silence."""
    for name in ("wav.scp", "segments", "utt2spk", "utt2lang"):
        if (folder / name).is_file():
            yield from (line for line in read_pairs(folder / name) if isinstance(line, Problem))


class _Moved:
    """Finds files whose path in wav.scp is that of another machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem: Lookup | None = None

    def find(self, written: str) -> Path:
        path = self._folder / written
        if path.is_file():
            return path
        if self._by_stem is None:
            self._by_stem = Lookup.of_audio(self._folder)
        return Path(self._by_stem.get(path.stem) or path)


def _decoded_file(source: str) -> tuple[str, int | None] | None:
    """The file and channel that a wav.scp entry stands for; None for a command that does more."""
    if not source.endswith("|"):
        return source, None
    try:
        program, *words = shlex.split(source[:-1])
    except ValueError:
        return None
    channel = None
    files = []
    rest = iter(words)
    for word in rest:
        if word in ("-f", "-c") and Path(program).name == "sph2pipe":
            argument = next(rest, "")
            if word == "-c" and argument.isdigit():
                channel = int(argument) - 1
        elif not word.startswith("-"):
            files.append(word)
    return (files[0], channel) if Path(program).name in _DECODERS and len(files) == 1 else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
