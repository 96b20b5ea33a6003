"""Long audio in windows that fit the encoder, cut where nobody speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from madg_speech.audio import SAMPLE_RATE, is_silent
from madg_speech.vad import FRAME, SpeechDetector

_RATE = SAMPLE_RATE / FRAME  # frames a second
_PAUSE = round(0.8 * _RATE)  # frames without speech that end a window
_MARGIN = round(0.2 * _RATE)  # frames kept before and after speech
_SPEECH, _NO_SPEECH = 0.5, 0.35  # probabilities over and under which a frame is, or is not, speech
_EARLIEST = 0.6  # of a full window: where the search for a place to cut speech begins
_SHORTEST = round(0.5 * _RATE) + 1  # frames; what is left after such a cut is never less
_DIP = round(0.3 * _RATE)  # frames over which such a place is measured

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording: mono 16 kHz samples, and its place in seconds."""

    start: float
    waveform: Samples

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / SAMPLE_RATE

    @property
    def peak(self) -> float:
        """Largest absolute sample."""
        return float(np.abs(self.waveform).max())

    @property
    def silent(self) -> bool:
        """Nothing in it to transcribe."""
        return is_silent(self.peak)


def cut_windows(
    blocks: Iterable[Samples], longest: float = 30.0, vad: bool = True
) -> Iterator[Window]:
    """Regroup 16 kHz audio into windows of at most ``longest`` seconds.

    Audio that fits is one window, whatever is in it. In longer audio speech is looked for: a window
    ends at a pause of 0.8 s, and what is not speech is in no window. Speech without such a pause is
    cut in its least likely 0.3 s after three fifths of a window. At most one block more than a
    window is held.

    Args:
        blocks: float32 [samples], of any lengths.
        longest: seconds, 4 or more.
        vad: False: all audio is in some window; long audio is cut where it is quietest.
    """
    held, stream = np.empty(0, np.float32), iter(blocks)
    for block in stream:
        held = np.concatenate([held, block])
        if len(held) > longest * SAMPLE_RATE:
            pieces = _whole_frames(chain([held], stream))
            yield from _cut(pieces, int(longest * _RATE), vad)
            return
    if len(held):
        yield Window(0.0, held)


def _cut(pieces: Iterable[Samples], most: int, vad: bool) -> Iterator[Window]:
    """Windows of at most ``most`` frames."""
    score: Callable[[Samples], Samples] = SpeechDetector() if vad else _loudness
    place = _next_speech if vad else _next_full
    held, scores, position = np.empty(0, np.float32), np.empty(0, np.float32), 0
    for piece in chain(pieces, [None]):
        if piece is not None:
            held, scores = np.concatenate([held, piece]), np.concatenate([scores, score(piece)])
        while len(held):
            skipped, taken = place(scores, most, piece is None)
            first, last = skipped * FRAME, (skipped + taken) * FRAME
            if taken:
                # A copy: a view would keep the whole block alive for as long as its window waits.
                yield Window((position + first) / SAMPLE_RATE, held[first:last].copy())
            held, scores = held[last:], scores[skipped + taken :]
            position += last
            if not taken:
                break


def _next_full(scores: Samples, most: int, ended: bool) -> tuple[int, int]:
    """How many frames to skip, and how many to take: 0 for not yet."""
    if len(scores) > most:
        return 0, _dip(scores[:most])
    return 0, len(scores) if ended else 0


def _next_speech(scores: Samples, most: int, ended: bool) -> tuple[int, int]:
    """As :func:`_next_full`, for probabilities of speech."""
    spoken = np.flatnonzero(scores >= _SPEECH)
    if not len(spoken):
        return max(len(scores) - (0 if ended else _MARGIN), 0), 0
    skipped = max(int(spoken[0]) - _MARGIN, 0)
    rest = scores[skipped:]
    quiet = np.concatenate([[0], np.cumsum(rest < _NO_SPEECH)])
    pauses = np.flatnonzero(quiet[_PAUSE:] - quiet[:-_PAUSE] == _PAUSE)
    pauses = pauses[pauses > spoken[0] - skipped]
    if len(pauses) and pauses[0] + _MARGIN <= most:
        return skipped, int(pauses[0]) + _MARGIN
    if len(rest) > most:
        return skipped, _dip(rest[:most])
    if ended:
        return skipped, min(int(spoken[-1]) - skipped + 1 + _MARGIN, len(rest))
    return skipped, 0


def _dip(scores: Samples) -> int:
    """The frame in the middle of the lowest stretch of the part that may be cut."""
    first = round(len(scores) * _EARLIEST)
    summed = np.cumsum(np.pad(scores[first : len(scores) - _SHORTEST + _DIP // 2], (1, 0)))
    return first + int((summed[_DIP:] - summed[:-_DIP]).argmin()) + _DIP // 2


def _loudness(samples: Samples) -> Samples:
    """Energy of each frame."""
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    return np.asarray(np.square(padded.reshape(-1, FRAME)).mean(axis=1), np.float32)


def _whole_frames(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same audio in pieces of whole frames; only the last may end within one."""
    rest = np.empty(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        whole = len(rest) // FRAME * FRAME
        if whole:
            yield rest[:whole]
        rest = rest[whole:]
    if len(rest):
        yield rest
