"""Any audio file to mono 16 kHz float32, whole or in blocks.

Resampling is soxr at its high quality: it is what librosa.resample calls, without librosa's seconds
of import, and its streaming form gives the same samples as the whole file at once.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from madg_speech.audio_files import decode, header_seconds
from madg_speech.errors import AudioError

SAMPLE_RATE = 16000
MIN_SECONDS = 0.1
SILENCE_DB = -60.0
SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".webm", ".mkv"}
    | {".mov", ".aif", ".aiff", ".wma", ".sph"}
)
Waveform: TypeAlias = npt.NDArray[np.float32]
Source: TypeAlias = Path | str | BinaryIO

_LOUDEST = 100.0  # samples beyond are integers stored as floats, not loud speech


def load_audio(source: Source, *, start: float | None = None, end: float | None = None) -> Waveform:
    """Decode ``source`` from ``start`` to ``end`` (seconds): mono, 16 kHz, [samples] in [-1, 1].

    Channels are averaged. A file that breaks off, or is damaged, is decoded as far as possible
    and a warning is logged.

    Raises:
        AudioError: the file is missing, empty, not audio, without an audio track, shorter than
            ``MIN_SECONDS``, silent (peak below ``SILENCE_DB``), or holds NaN or infinite samples.
        ValueError: ``start`` and ``end`` are no interval.
    """
    waveform = np.concatenate(list(stream_audio(source, start=start, end=end)))
    check_audible(_name(source), len(waveform) / SAMPLE_RATE, float(np.abs(waveform).max()))
    return waveform


def check_audible(name: str, seconds: float, peak: float) -> None:
    """Judge audio of which all that is known is its length and its largest absolute sample.

    Raises:
        AudioError: shorter than ``MIN_SECONDS``, or nowhere over ``SILENCE_DB``.
    """
    if seconds < MIN_SECONDS:
        raise AudioError(f"{name}: {seconds:.3f} s of audio; at least {MIN_SECONDS} s are needed")
    if is_silent(peak):
        level = f"{20 * math.log10(peak):.0f} dBFS" if peak else "digital zero"
        raise AudioError(
            f"{name}: silent (peak {level} in {seconds:.1f} s, expected over "
            f"{SILENCE_DB:.0f} dBFS); check the recording, or amplify it"
        )


def is_silent(peak: float) -> bool:
    """Whether audio with this largest absolute sample counts as silence."""
    return peak < 10 ** (SILENCE_DB / 20)


def stream_audio(
    source: Source,
    block_seconds: float = 30.0,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Iterator[Waveform]:
    """Decode in blocks of ``block_seconds``, the last one shorter; memory stays bounded.

    The blocks joined are what ``load_audio`` returns, except that shortness and silence are not
    judged here.

    Raises:
        AudioError: as ``load_audio``; a damaged sample can surface after some blocks.
        ValueError: ``start`` and ``end`` are no interval, or a block holds no sample.
    """
    start = 0.0 if start is None else start
    if not (0 <= start < math.inf) or (end is not None and not end > start):
        raise ValueError(f"start {start} and end {end} are no interval: 0 <= start < end expected")
    size = round(block_seconds * SAMPLE_RATE)
    if size < 1:
        raise ValueError(f"block_seconds must be above 0, not {block_seconds}")
    return _regroup(_resampled(source, start, end), size)


def duration(path: Path | str, *, at_most: float | None = None) -> float:
    """Length in seconds: what the header says, or, where it says nothing, counted by decoding.

    Args:
        path: audio file.
        at_most: seconds after which to stop counting.

    Raises:
        AudioError: as ``load_audio``, short and silent files excepted.
    """
    with _opened(path) as (file, name):
        seconds = header_seconds(file, name)
    if seconds is not None:
        return seconds
    return sum(len(block) for block in stream_audio(path, end=at_most)) / SAMPLE_RATE


def find_audio(paths: Iterable[Path | str]) -> list[Path]:
    """Audio files among ``paths``, sorted, each once; folders are searched to the bottom.

    A file named outright needs no known suffix; in folders only ``SUFFIXES`` count, and hidden
    files do not.

    Raises:
        AudioError: a path is missing, or a folder holds no audio.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in path.rglob("*") if _looks_like_audio(file)]
            if not inside:
                known = " ".join(sorted(SUFFIXES))
                raise AudioError(f"no audio in folder {path} (looked for {known})")
            found.update(inside)
        elif path.exists():
            found.add(path)
        else:
            raise AudioError(f"audio file or folder not found: {path}")
    return sorted(found)


def trim_silence(waveform: Waveform, top_db: float = 40.0) -> Waveform:
    """Cut off both ends where they stay ``top_db`` below the loudest frame."""
    from librosa.effects import trim  # with numba behind it: over two seconds

    trimmed: Waveform = trim(waveform, top_db=top_db)[0]
    return trimmed


def _looks_like_audio(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _name(source: Source) -> str:
    if isinstance(source, Path | str):
        return str(source)
    return str(getattr(source, "name", "audio stream"))


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    name = _name(source)
    if not isinstance(source, Path | str):
        # Both back ends seek, and the second starts over where the first gave up.
        file = source if source.seekable() else io.BytesIO(source.read())
        if file.seek(0, os.SEEK_END) == 0:
            raise AudioError(f"{name}: empty (0 bytes)")
        file.seek(0)
        yield file, name
        return
    path = Path(source)
    if not path.exists():
        raise AudioError(f"audio file not found: {name}")
    if path.is_dir():
        raise AudioError(f"{name} is a folder; an audio file was expected")
    if path.stat().st_size == 0:
        raise AudioError(f"{name}: empty (0 bytes)")
    with path.open("rb") as file:
        yield file, name


def _regroup(pieces: Iterator[Waveform], size: int) -> Iterator[Waveform]:
    held: list[Waveform] = []
    count = 0
    for piece in pieces:
        while count + len(piece) >= size:
            cut = size - count
            yield np.concatenate([*held, piece[:cut]])
            held, count, piece = [], 0, piece[cut:]
        held.append(piece)
        count += len(piece)
    if count:
        yield np.concatenate(held)


def _resampled(source: Source, start: float, end: float | None) -> Iterator[Waveform]:
    import soxr

    resampler = None
    with _opened(source) as (file, name), closing(_cropped(file, name, start, end)) as pieces:
        for piece, rate in pieces:
            _check_samples(piece, name)
            if rate == SAMPLE_RATE:
                yield np.clip(piece, -1, 1)
                continue
            if resampler is None:
                resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
            yield np.clip(resampler.resample_chunk(piece), -1, 1)
        if resampler is not None:
            yield np.clip(resampler.resample_chunk(np.empty(0, np.float32), last=True), -1, 1)


def _check_samples(piece: Waveform, name: str) -> None:
    peak = np.abs(piece).max()
    if not np.isfinite(peak):
        raise AudioError(f"{name}: holds NaN or infinite samples; write the file anew")
    if peak > _LOUDEST:
        raise AudioError(
            f"{name}: float samples reach {peak:.0f}, expected [-1, 1]; divide them by full scale"
        )


def _cropped(
    file: BinaryIO, name: str, start: float, end: float | None
) -> Generator[tuple[Waveform, int], None, None]:
    """Yield mono pieces (never empty) at the file's one rate between the two times."""
    position = 0
    rate = SAMPLE_RATE
    some = False
    for piece, rate in decode(file, name):
        first, last = round(start * rate), math.inf if end is None else round(end * rate)
        if position >= last:
            break
        kept = piece[max(first - position, 0) : int(min(last - position, len(piece)))]
        position += len(piece)
        if len(kept):
            some = True
            yield kept, rate
    if not position:
        raise AudioError(f"{name}: no audio could be decoded; the file is cut off or damaged")
    if not some:
        raise AudioError(f"{name}: nothing from {start} s on, the audio is {position / rate:.2f} s")
