"""Log-mel features for Whisper at an utterance's own length, not padded to 30 seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.base import Waveform, to_vectors

HOP = 160
WINDOW = 400
REACH = WINDOW // 2  # how far a centred frame looks to either side
FULL = 30 * SAMPLE_RATE  # the window to which transformers pads
FLOOR = 1e-10


@dataclass(frozen=True)
class LogMel:
    """Whisper's front end: :func:`log_mel`.

    Attributes:
        bins: mel bands.
    """

    bins: int = 80
    rate: ClassVar[float] = SAMPLE_RATE / HOP
    frame_rate: ClassVar[float] = SAMPLE_RATE / HOP / 2
    spectral: ClassVar[bool] = True
    rule: ClassVar[str] = (
        "log-mel, own length rounded up to even, zero padding, padded keys masked, v1"
    )

    def __call__(
        self, waveforms: Sequence[Waveform], device: torch.device | str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-mel features [B, mel, T] and lengths in mel frames [B]."""
        return log_mel(waveforms, self.bins, device)

    def frames(self, samples: int) -> int:
        """Encoder frames of an utterance: half its mel frames."""
        return _frames(samples) // 2

    def samples(self, frames: int) -> int:
        """Samples of so many encoder frames."""
        return frames * 2 * HOP


@dataclass(frozen=True)
class PaddedLogMel(LogMel):
    """Log-mel of audio padded with silence to a full window, as Whisper was trained and its decoder
    expects: every utterance has all frames.

    Attributes:
        window: encoder frames of a full window.
    """

    window: int = FULL // HOP // 2
    rule: ClassVar[str] = "log-mel, padded with silence to a full window, v1"

    def __call__(
        self, waveforms: Sequence[Waveform], device: torch.device | str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-mel features [B, mel, T] and lengths [B], all of them T.

        Raises:
            ValueError: audio longer than the window.
        """
        full = self.samples(self.window)
        signals = to_vectors(waveforms, device)
        longest = max(map(len, signals))
        if longest > full:
            raise ValueError(
                f"{longest / SAMPLE_RATE:.1f} s of audio; a window takes {full / SAMPLE_RATE:g} s"
            )
        padded = [torch.nn.functional.pad(signal, (0, full - len(signal))) for signal in signals]
        return log_mel(padded, self.bins, device)

    def frames(self, samples: int) -> int:
        """Encoder frames: those of the window."""
        return self.window

    def spoken(self, samples: int) -> int:
        """Encoder frames that hold audio, the rest being padding."""
        return min(super().frames(samples), self.window)


def log_mel(
    waveforms: Sequence[Waveform],
    n_mels: int = 80,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Whisper's log-mel features of a batch, each utterance as if it were alone.

    Each kept frame equals the frame that ``transformers.WhisperFeatureExtractor`` computes when it
    pads the audio with zeros to 30 s (the front end of Radford et al. 2022, section 2.2). Audio
    longer than 30 s is not cut.

    Args:
        waveforms: mono 16 kHz audio, one vector ``[samples]`` each, not empty.
        n_mels: mel bands: 80, or 128 for whisper-large-v3.
        device: where to compute; the CPU if not given.

    Returns:
        features: float32 ``[batch, n_mels, frames]`` (100 frames a second), 0.0 after each
            utterance's own frames.
        lengths: int64 ``[batch]``, frames of each utterance: ``ceil(samples / 160)`` rounded up to
            an even number, since Whisper's second convolution halves them.

    Raises:
        ValueError: no waveform, an empty one, or one that is not a vector.
    """
    signals = to_vectors(waveforms, device)
    lengths = torch.tensor([_frames(len(signal)) for signal in signals], device=device)
    longest = int(lengths.max())

    # Two frames past the longest utterance still reach back into it, and count for its peak.
    padded = torch.zeros(len(signals), WINDOW + (longest + 1) * HOP, device=device)
    for row, signal in zip(padded, signals, strict=True):
        _place(signal, row)
    window = torch.hann_window(WINDOW, device=device)
    spectrum = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
    filters = torch.from_numpy(filter_bank(n_mels)).to(padded.device)
    logs = (filters @ spectrum.abs().square()).clamp(min=FLOOR).log10()

    # Silence after an utterance is at the floor, so batch mates' lengths never raise its peak.
    short = torch.tensor([len(signal) <= FULL for signal in signals], device=device)
    logs[short, :, FULL // HOP :] = math.log10(FLOOR)
    peak = logs.amax(dim=(1, 2), keepdim=True)
    logs = logs[..., :longest]
    features = (logs.maximum(peak - 8.0) + 4.0) / 4.0
    padding = torch.arange(longest, device=device) >= lengths[:, None]
    return features.masked_fill(padding[:, None], 0.0), lengths


def _place(signal: Tensor, row: Tensor) -> None:
    """Write a signal into its zeroed row, mirrored at both edges of the 30 s window."""
    row[REACH : REACH + len(signal)] = signal
    row[:REACH] = row[REACH + 1 : 2 * REACH + 1].flip(0)
    if FULL - REACH < len(signal) <= FULL:
        end = REACH + FULL
        row[end : end + REACH] = row[end - REACH - 1 : end - 1].flip(0)


def _frames(samples: int) -> int:
    frames = -(-samples // HOP)
    return frames + frames % 2


@cache
def filter_bank(n_mels: int) -> npt.NDArray[np.float32]:
    """Mel filters ``[n_mels, WINDOW // 2 + 1]``: Slaney's scale and area norm, 0 to 8 kHz."""
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(
        WINDOW // 2 + 1,
        0.0,
        SAMPLE_RATE / 2,
        n_mels,
        SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return np.ascontiguousarray(filters.T.numpy(), dtype=np.float32)
