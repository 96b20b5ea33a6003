"""Any audio file to mono 16 kHz float32, whole or in blocks.

libsndfile (soundfile) reads wav, flac, ogg and mp3; FFmpeg (PyAV) reads the rest, and what
libsndfile gives up on. Both are chosen by content, never by file name. Resampling is soxr at its
high quality: it is what librosa.resample calls, without librosa's seconds of import, and its
streaming form gives the same samples as the whole file at once.
"""

from __future__ import annotations

import io
import logging
import math
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from madg_speech.errors import AudioError

if TYPE_CHECKING:
    import av

SAMPLE_RATE = 16000
MIN_SECONDS = 0.1
SILENCE_DB = -60.0
SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".webm", ".mkv"}
    | {".mov", ".aif", ".aiff", ".wma", ".sph"}
)
Waveform: TypeAlias = npt.NDArray[np.float32]
Source: TypeAlias = Path | str | BinaryIO

_RATES = range(1_000, 1_000_000)  # Hz; outside, a header is damaged and resampling could run wild
_LOUDEST = 100.0  # samples beyond are integers stored as floats, not loud speech
_FRAMES = 16384  # per read
_UNKNOWN = 2**48  # libsndfile marks an unknown length by the largest number there is
# FFmpeg also reads playlists and scripts, which open other files: containers of sound only.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,flac,flv,matroska,mov,mp3,mpeg,mpegts,nistsphere,"
    "ogg,w64,wav"
)
_log = logging.getLogger(__name__)


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
        seconds = _header_seconds(file, name)
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
    for piece, rate in _decoded(file, name):
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


def _decoded(file: BinaryIO, name: str) -> Iterator[tuple[Waveform, int]]:
    import soundfile

    some = False
    try:
        for piece, rate in _by_soundfile(file, name):
            some = True
            yield piece, rate
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a name that ends in .raw
        if some:
            _log.warning("%s: damaged, the rest is left out (%s)", name, error)
    if not some:
        file.seek(0)
        yield from _by_av(file, name)


def _by_soundfile(file: BinaryIO, name: str) -> Iterator[tuple[Waveform, int]]:
    import soundfile

    with soundfile.SoundFile(file) as sound:
        rate = _checked_rate(sound.samplerate, name)
        while len(piece := sound.read(_FRAMES, dtype="float32", always_2d=True)):
            yield piece.mean(axis=1), rate
        if sound.tell() < sound.frames < _UNKNOWN:
            _log.warning("%s: breaks off after %.2f s", name, sound.tell() / rate)


def _checked_rate(rate: int, name: str) -> int:
    if rate not in _RATES:
        raise AudioError(f"{name}: sampling rate {rate} Hz; the header is damaged")
    return rate


@contextmanager
def _container(file: BinaryIO, name: str) -> Iterator[av.container.InputContainer]:
    """Open by FFmpeg; what is not audio becomes AudioError."""
    import av

    try:
        container = av.open(
            file, metadata_errors="replace", options={"format_whitelist": _CONTAINERS}
        )
    except (av.FFmpegError, ValueError):
        raise AudioError(
            f"{name}: not an audio file that can be read (wav, flac, ogg, mp3, m4a, mp4, webm), "
            "or cut off before the first sound; play it elsewhere to see which"
        ) from None
    with container:
        if not container.streams.audio:
            kind = "a video without an audio track" if container.streams.video else "no audio track"
            raise AudioError(f"{name}: {kind}")
        yield container


def _by_av(file: BinaryIO, name: str) -> Iterator[tuple[Waveform, int]]:
    import av

    first_rate = 0
    setup: Any = None
    with _container(file, name) as container:
        for frame in _frames(container, name):
            first_rate = first_rate or _checked_rate(frame.rate, name)
            # Format and rate may change on the way (HE-AAC does): PyAV wants a new resampler then.
            if setup != (frame.format.name, frame.layout.name, frame.rate):
                setup = (frame.format.name, frame.layout.name, frame.rate)
                to_float = av.AudioResampler(format="fltp", rate=first_rate)
            for converted in to_float.resample(frame):
                yield converted.to_ndarray().mean(axis=0), first_rate


def _frames(container: av.container.InputContainer, name: str) -> Iterator[av.AudioFrame]:
    """Decode packet by packet, so that one broken packet costs no more than itself."""
    import av

    broken = 0
    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            break
        try:
            frames = packet.decode()
        except av.FFmpegError:
            broken += 1
            continue
        yield from (frame for frame in frames if frame.samples)
    if broken:
        _log.warning("%s: damaged, %d packets are left out", name, broken)


def _header_seconds(file: BinaryIO, name: str) -> float | None:
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            if 0 < sound.frames < _UNKNOWN:
                return float(sound.frames / _checked_rate(sound.samplerate, name))
    except (soundfile.SoundFileError, TypeError):
        pass
    file.seek(0)
    with _container(file, name) as container:
        stream = container.streams.audio[0]
        if stream.duration:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration else None
