"""Long audio in windows that fit the encoder, cut where it is quietest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madg_speech.audio import SAMPLE_RATE, is_silent

_EARLIEST = 0.8  # of a full window: where the search for a pause begins
_SHORTEST = 0.5  # s; what is left after a cut is never less
_PAUSE = 0.3  # s over which loudness is measured
_STEP = 0.01  # s between candidates


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording: mono 16 kHz samples, and its place in seconds."""

    start: float
    waveform: npt.NDArray[np.float32]

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
    blocks: Iterable[npt.NDArray[np.float32]], longest: float = 30.0
) -> Iterator[Window]:
    """Regroup 16 kHz audio into windows of at most ``longest`` seconds.

    Audio that fits is one window. Longer audio is cut in the middle of the quietest 0.3 s of each
    window's last fifth. Windows follow each other without gap; at most one block more than a window
    is held.

    Args:
        blocks: float32 [samples], of any lengths.
        longest: seconds, 4 or more.
    """
    size = round(longest * SAMPLE_RATE)
    held = np.empty(0, np.float32)
    position = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > size:
            cut = _quietest(held[:size])
            yield Window(position / SAMPLE_RATE, held[:cut])
            held, position = held[cut:], position + cut
    if len(held):
        yield Window(position / SAMPLE_RATE, held)


def _quietest(waveform: npt.NDArray[np.float32]) -> int:
    """Index in the middle of the pause-long stretch of least energy in the part that may be cut."""
    pause, step = round(_PAUSE * SAMPLE_RATE), round(_STEP * SAMPLE_RATE)
    first = round(len(waveform) * _EARLIEST)
    part = waveform[first : len(waveform) - round(_SHORTEST * SAMPLE_RATE) + pause // 2]
    summed = np.concatenate([[0.0], np.cumsum(np.square(part, dtype=np.float64))])
    energy = summed[pause::step] - summed[:-pause:step]
    return first + int(energy.argmin()) * step + pause // 2
