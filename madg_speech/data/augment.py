"""Augmentation of training audio: speed, noise, telephone band, SpecAugment; the same for the same draw.

Everything random about a rendition of an utterance follows from the seed, the utterance and how often
it was drawn before. Neither the batch nor the number of loader processes nor a resumed run changes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from torch import Tensor

from madg_speech.audio import SAMPLE_RATE, Waveform
from madg_speech.backbones.base import FrontEnd
from madg_speech.config.augment import AugmentConfig

RULE = "speed, noise, telephone, masks, v1"  # part of a cached view's key: count up with any change
TELEPHONE_RATE, TELEPHONE_BAND = 8000, (300.0, 3400.0)  # Hz: ITU-T G.712's voice channel


@dataclass(frozen=True)
class Rendition:
    """One way in which one utterance is heard.

    Attributes:
        utterance: content hash of the audio file, hexadecimal.
        draw: how often the utterance was drawn before.
        frames_needed: encoder frames that its CTC labels need: no speed leaves fewer.
    """

    utterance: str
    draw: int
    frames_needed: int


@dataclass(frozen=True)
class Augmenter:
    """Applies what ``config`` asks for."""

    config: AugmentConfig
    seed: int

    def features(
        self,
        waveforms: Sequence[Waveform],
        renditions: Sequence[Rendition],
        front_end: FrontEnd,
        device: str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The front end's inputs and lengths [B] of 16 kHz waveforms, augmented."""
        randoms = [self._random(rendition) for rendition in renditions]
        heard = [
            self.waveform(waveform, front_end.samples(rendition.frames_needed), random)
            for waveform, rendition, random in zip(waveforms, renditions, randoms, strict=True)
        ]
        features, lengths = front_end(heard, device)
        if self.config.spec_augment:
            for row, length, random in zip(features, lengths.tolist(), randoms, strict=True):
                mask_bands(row[:, :length], random)
        return features, lengths

    def waveform(
        self, waveform: Waveform, samples_needed: int, random: np.random.Generator
    ) -> Waveform:
        """The audible part: speed, then noise, then the telephone, as a call would have it."""
        c = self.config
        if c.speed:
            fastest = max(1.0, len(waveform) / max(samples_needed, 1))
            waveform = change_speed(waveform, min(random.uniform(*c.speed), fastest))
        if c.noise_snr_db:
            waveform = add_noise(waveform, random.uniform(*c.noise_snr_db), random)
        if random.random() < c.telephone:
            waveform = through_telephone(waveform)
        return waveform

    def view_name(self, number: int) -> str:
        """Names a cached view by all that makes it."""
        settings = self.config.model_dump_json(exclude={"cached_views"})
        digest = hashlib.blake2b(f"{RULE} {settings} {self.seed}".encode(), digest_size=8)
        return f"view-{number}-{digest.hexdigest()}"

    def _random(self, rendition: Rendition) -> np.random.Generator:
        return np.random.default_rng([self.seed, rendition.draw, int(rendition.utterance, 16)])


def change_speed(waveform: Waveform, speed: float) -> Waveform:
    """Play ``speed`` times as fast, pitch included, by resampling (Ko et al. 2015, Interspeech)."""
    import soxr

    return np.asarray(soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE), np.float32)


def add_noise(waveform: Waveform, snr_db: float, random: np.random.Generator) -> Waveform:
    """Add Gaussian noise at a signal-to-noise ratio measured over the whole utterance.

    The noise's power falls with frequency as 1/f^a with a drawn from 0 (white) to 2 (brown): rooms and
    traffic rumble more than they hiss.
    """
    spectrum = np.fft.rfft(random.standard_normal(len(waveform)))
    frequencies = np.maximum(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE), 20.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-random.uniform(0, 2) / 2), len(waveform))
    gain = np.sqrt(_power(waveform) / _power(noise)) * 10 ** (-snr_db / 20)
    return np.asarray(waveform + gain * noise, np.float32)


def through_telephone(waveform: Waveform) -> Waveform:
    """Band-pass 300 to 3400 Hz at 8 kHz and back to 16 kHz; the length stays."""
    import soxr
    from scipy.signal import sosfilt

    narrow = sosfilt(
        _telephone_filter(), soxr.resample(waveform, SAMPLE_RATE, TELEPHONE_RATE, quality="HQ")
    )
    wide = soxr.resample(narrow, TELEPHONE_RATE, SAMPLE_RATE)
    heard = np.zeros(len(waveform), np.float32)
    heard[: len(wide)] = wide[: len(waveform)]
    return heard


def mask_bands(features: Tensor, random: np.random.Generator) -> None:
    """Overwrite two bands of mel bins and two spans of frames with the mean, in place.

    SpecAugment without time warping (Park et al. 2019, arXiv 1904.08779, policy LD: up to 27 of 80
    bins, up to 100 frames), but a span takes a tenth of the utterance at most. torchaudio's masks draw
    from the global generator, which would tie them to the batch.

    Args:
        features: [mel, frames].
        random: what to draw from.
    """
    bins, frames = features.shape
    mean = features.mean()
    for axis, size, widest in ((0, bins, bins * 27 // 80), (1, frames, min(100, frames // 10))):
        for _ in range(2):
            width = int(random.integers(widest + 1))
            start = int(random.integers(size - width + 1))
            features.narrow(axis, start, width).fill_(mean)


def _power(signal: npt.NDArray[np.floating]) -> float:
    return float(np.mean(np.square(signal, dtype=np.float64)))


@cache
def _telephone_filter() -> npt.NDArray[np.float64]:
    from scipy.signal import butter

    sections: npt.NDArray[np.float64] = butter(
        6, TELEPHONE_BAND, "bandpass", fs=TELEPHONE_RATE, output="sos"
    )
    return sections
