"""IARPA Babel language packs (LDC): telephone speech, long recordings transcribed in segments.

Layout (github.com/lhotse-speech/lhotse, lhotse/recipes/babel.py, which reads the packs):
``conversational|scripted / training|dev|eval / audio/*.sph`` (or .wav) and ``transcription/*.txt``, in
which a line ``[seconds]`` stands before and after each line of text. Files are named
``BABEL_<phase>_<language>_<speaker>_<date>_<time>_<channel>``. Marks in the text: ``<no-speech>`` and
other tags in angle brackets, ``(())`` unintelligible, ``*word*`` mispronounced, ``wo-`` cut off, ``~``
cut off by the recording. Sphere is read by libsndfile; compressed by shorten, by FFmpeg.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from madg_speech.data.lines import read_lines
from madg_speech.data.rows import SPLITS, LayoutError, Problem, Request, Row, Rows, find

LICENSE = "LDC"
USUAL = ("train", "dev", "test")
# The packs' numbers; languages as in lhotse's reader.
CODES = {
    "101": "yue",
    "102": "asm",
    "103": "ben",
    "104": "pbt",
    "105": "tur",
    "106": "tgl",
    "107": "vie",
    "201": "hat",
    "202": "swh",
    "203": "lao",
    "204": "tam",
    "205": "kmr",
    "206": "zul",
    "207": "tpi",
    "301": "ceb",
    "302": "kaz",
    "303": "tel",
    "304": "lit",
    "305": "gug",
    "306": "ibo",
    "307": "amh",
    "401": "khk",
    "402": "jav",
    "403": "luo",
    "404": "kat",
}
_NAME = re.compile(r"BABEL_\w+_(?P<code>\d{3})_(?P<speaker>\w+)_\d{8}_\d{6}(_(?P<channel>\w+))?")
_TIME = re.compile(r"\[(\d+(?:\.\d+)?)\]")
_LOST = re.compile(r"\(\(\)\)|<(?:foreign|overlap|prompt)>|~")
_TAG = re.compile(r"<[^<>]*>")
_FRAGMENT = re.compile(r"(?<!\S)\S+-(?!\S)|(?<!\S)-\S+(?!\S)")


def rows(path: Path, request: Request) -> Rows:
    """Segments with speech that can be understood, of every pack below ``path``.

    Raises:
        LayoutError: no ``conversational`` or ``scripted`` folder with transcriptions.
    """
    folders = [
        folder
        for style in ("conversational", "scripted")
        for name in ("training", "dev", "eval")
        for folder in find(path, f"{style}/{name}/transcription")
    ]
    if not folders:
        raise LayoutError(f"{path}: no conversational/training/transcription in it or below")
    for folder in folders:
        split = SPLITS[folder.parent.name]
        if split in request.chosen(USUAL):
            for file in sorted(folder.glob("*.txt")):
                yield from _recording(file, split, request)


def _recording(file: Path, split: str, request: Request) -> Rows:
    name = _NAME.fullmatch(file.stem)
    if name is None:
        yield Problem("transcription not named BABEL_<phase>_<language>_...", str(file))
        return
    if not request.wants(name["code"]):
        return
    folder = file.parent.parent / "audio"
    sphere = folder / f"{file.stem}.sph"
    audio = sphere if sphere.is_file() else folder / f"{file.stem}.wav"
    speaker = f"{name['code']}_{name['speaker']}_{name['channel']}"
    for segment in _segments(file):
        if isinstance(segment, Problem):
            yield segment
            continue
        start, end, text = segment
        place = f"{file.stem}_{round(start * 100):06d}"
        if _LOST.search(text):
            yield Problem("segment with foreign or unintelligible speech", place)
            continue
        spoken = " ".join(_FRAGMENT.sub(" ", _TAG.sub(" ", text)).replace("*", "").split())
        if not spoken:
            yield Problem("segment without speech", place)
            continue
        yield Row(place, audio, spoken, name["code"], split, speaker, start, end)


def _segments(file: Path) -> Iterator[tuple[float, float, str] | Problem]:
    """Start, end and text: what stands between two times that follow each other."""
    start: float | None = None
    text = ""
    for line in read_lines(file):
        if isinstance(line, Problem):
            yield line
            text = ""
            continue
        time = _TIME.fullmatch(line[1].strip())
        if time is None:
            text = f"{text} {line[1]}".strip()
            continue
        if start is not None and text:
            yield start, float(time[1]), text
        start, text = float(time[1]), ""
    if text:
        yield Problem("text after the last time", str(file))
