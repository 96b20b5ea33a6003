"""Samples of any audio file, as they are stored.

libsndfile (soundfile) reads wav, flac, ogg and mp3; FFmpeg (PyAV) reads the rest, and what
libsndfile gives up on. Both are chosen by content, never by file name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from madg_speech.errors import AudioError

if TYPE_CHECKING:
    import av

Piece: TypeAlias = tuple[npt.NDArray[np.float32], int]
"""Mono samples [T] and their rate in Hz."""

_RATES = range(1_000, 1_000_000)  # Hz; outside, a header is damaged and resampling could run wild
_FRAMES = 16384  # per read
_UNKNOWN = 2**48  # libsndfile marks an unknown length by the largest number there is
# FFmpeg also reads playlists and scripts, which open other files: containers of sound only.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,flac,flv,matroska,mov,mp3,mpeg,mpegts,nistsphere,"
    "ogg,w64,wav"
)
_log = logging.getLogger(__name__)


def decode(file: BinaryIO, name: str) -> Iterator[Piece]:
    """Mono pieces of a seekable file, in order, with its sampling rate; a damaged rest is left out.

    Raises:
        AudioError: no sound in it, or nothing that either library can read.
    """
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


def _by_soundfile(file: BinaryIO, name: str) -> Iterator[Piece]:
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


def _by_av(file: BinaryIO, name: str) -> Iterator[Piece]:
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


def header_seconds(file: BinaryIO, name: str) -> float | None:
    """Length as the header has it; None where it does not say. AudioError as for :func:`decode`."""
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
