"""One row of a corpus against its audio: usable or not, and where the manifest finds its sound."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import soundfile

from madg_speech.audio import MIN_SECONDS, SAMPLE_RATE, duration, load_audio
from madg_speech.cache import atomic_path
from madg_speech.data.rows import Embedded, Row
from madg_speech.errors import AudioError
from madg_speech.text.normalize import normalize

# What a manifest line needs beside the row itself: audio (relative to the manifest if below its
# folder) and seconds; or why the row is left out.
Outcome: TypeAlias = tuple[str, float] | str

TOLERANCE = 0.5  # seconds by which a corpus's own lengths may be off; of long audio, a tenth


def check_rows(rows: list[tuple[Row, str]], known: list[Outcome], out: Path) -> list[Outcome]:
    """Judge rows with their languages (ISO 639-3); what was found usable before is not read again.

    Args:
        rows: with the language that each was found to be in.
        known: outcomes of an earlier run, empty or as many as ``rows``.
        out: folder of the manifests; cut and unpacked audio is written below ``out/audio``.
    """
    before = known or [""] * len(rows)
    return [
        old if not isinstance(old, str) and (out / old[0]).is_file() else check_row(row, iso, out)
        for (row, iso), old in zip(rows, before, strict=True)
    ]


def check_row(row: Row, iso: str, out: Path) -> Outcome:
    """Judge one row; audio that no file holds alone is written to a file of its own."""
    if not row.text.strip():
        return "empty text"
    if not normalize(row.text):
        return "text of which nothing is left when normalised"
    if isinstance(row.audio, Path):
        if not row.audio.is_file():
            return "missing audio"
        if row.audio.stat().st_size == 0:
            return "audio of 0 bytes"
    try:
        file = _own_file(row, row.audio, out / "audio" / iso)
        if isinstance(file, str):
            return file
        seconds = duration(file)
    except AudioError:
        return _undecodable(row.audio)
    if seconds < MIN_SECONDS:
        return f"audio shorter than {MIN_SECONDS} s"
    if row.seconds and abs(seconds - row.seconds) > max(TOLERANCE, row.seconds / 10):
        return "audio of another length than the corpus says"
    return _relative(file, out), round(seconds, 3)


def _undecodable(audio: Path | Embedded) -> str:
    """FFmpeg decodes shorten in sphere files of 16-bit samples, not of mu-law."""
    if isinstance(audio, Path):
        with audio.open("rb") as file:
            head = file.read(1024)
        if head.startswith(b"NIST_1A") and b"shorten" in head:
            return (
                "sphere file that shorten compressed in a way not read here: unpack it by sph2pipe"
            )
    return "audio that cannot be decoded"


def _own_file(row: Row, audio: Path | Embedded, folder: Path) -> Path | str:
    """The file that holds this utterance and nothing else, or why there is none."""
    if isinstance(audio, Embedded):
        target = _named(row, folder, audio.suffix)
        if not target.is_file():
            with atomic_path(target) as draft:
                draft.write_bytes(audio.data)
        return target
    if row.start is None and row.channel is None:
        return audio
    target = _named(row, folder, ".flac")
    return target if target.is_file() else _cut(row, audio, target)


def _cut(row: Row, audio: Path, target: Path) -> Path | str:
    start = row.start or 0.0
    length = duration(audio)
    if row.end is not None and (row.end <= start or row.end > length + TOLERANCE):
        return "segment that ends before it starts, or after its recording"
    if start >= length:
        return "segment that starts after its recording"
    try:
        with soundfile.SoundFile(audio) as sound:
            rate = sound.samplerate
            if row.channel is not None and row.channel >= sound.channels:
                return "channel that the recording lacks"
            sound.seek(round(start * rate))
            count = -1 if row.end is None else round((row.end - start) * rate)
            samples = sound.read(count, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1) if row.channel is None else samples[:, row.channel]
    except (
        soundfile.SoundFileError
    ):  # shorten-compressed sphere, m4a...: FFmpeg, from the beginning
        if row.channel is not None:
            return "one channel of a file that only FFmpeg decodes: convert it to wav first"
        rate, mono = SAMPLE_RATE, load_audio(audio, start=start, end=row.end)
    if not len(mono):
        return "segment without a sample"
    with atomic_path(target) as draft:
        soundfile.write(draft, mono, rate, "PCM_16", format="FLAC")
    return target


def _named(row: Row, folder: Path, suffix: str) -> Path:
    """A file name made of the id; 256 folders, for none holds a million files well."""
    digest = blake2b(f"{row.split}/{row.id}".encode(), digest_size=4).hexdigest()
    name = re.sub(r"[^\w.-]", "_", row.id)[-80:]
    return folder / digest[:2] / f"{name}-{digest}{suffix}"


def _relative(file: Path, out: Path) -> str:
    return str(file.relative_to(out)) if file.is_relative_to(out) else str(file.resolve())
