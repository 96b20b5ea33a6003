"""Features equal transformers' own, and nobody's features depend on their batch mates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from madg_speech.backbones.mel import log_mel


def speech_like(samples: int, seed: int = 0) -> np.ndarray:
    """A gliding voice with harmonics, bursts and pauses."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * time)) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, 1)
    return (0.1 * voice * envelope + 0.001 * random.standard_normal(samples)).astype(np.float32)


def reference(waveform: np.ndarray, n_mels: int = 80) -> torch.Tensor:
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    return extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_features[0]


SIGNALS = {
    "noise": lambda n: np.random.default_rng(n).standard_normal(n).astype(np.float32),
    "speech": speech_like,
    "click at the end": lambda n: np.eye(1, n, n - 1, dtype=np.float32)[0],
    "silence": lambda n: np.zeros(n, dtype=np.float32),
}


@pytest.mark.parametrize(
    ("samples", "n_mels"),
    [(n, 80) for n in (1, 150, 201, 320, 16_001, 47_999, 479_980, 480_000)] + [(47_999, 128)],
)
@pytest.mark.parametrize("kind", SIGNALS)
def test_equals_the_first_frames_of_the_whisper_extractor(kind, samples, n_mels):
    waveform = SIGNALS[kind](samples)
    features, lengths = log_mel([waveform], n_mels)
    expected = reference(waveform, n_mels)[:, : int(lengths[0])]
    assert (features[0] - expected).abs().max() < 1e-4


def test_alone_equals_in_batch_and_padding_is_zero():
    quiet_and_loud = [
        speech_like(9_000, 1) * 1e-3,
        speech_like(40_000, 2),
        np.zeros(700, np.float32),
        speech_like(161, 3) * 10,
    ]
    features, lengths = log_mel(quiet_and_loud)
    assert features.shape == (4, 80, 250) and features.dtype == torch.float32
    assert lengths.tolist() == [58, 250, 6, 2] and lengths.dtype == torch.int64
    for row, waveform in enumerate(quiet_and_loud):
        alone, length = log_mel([waveform])
        assert length[0] == lengths[row]
        assert (features[row, :, : length[0]] - alone[0]).abs().max() < 1e-6
        assert (features[row, :, length[0] :] == 0).all()


def test_audio_over_thirty_seconds_is_kept_whole():
    waveform = speech_like(35 * 16_000)
    features, lengths = log_mel([waveform])
    assert lengths.tolist() == [3500]
    extractor = WhisperFeatureExtractor(chunk_length=40)
    expected = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_features[0]
    assert (features[0] - expected[:, :3500]).abs().max() < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6_000), min_size=1, max_size=4))
def test_lengths_are_even_and_cover_the_audio(samples):
    features, lengths = log_mel([torch.full((n,), 0.1) for n in samples])
    for n, frames in zip(samples, lengths.tolist(), strict=True):
        assert frames % 2 == 0 and frames >= 2
        assert n <= frames * 160 < n + 320
    assert features.shape == (len(samples), 80, int(lengths.max()))
    assert features.isfinite().all()


@pytest.mark.parametrize(
    ("waveforms", "words"),
    [([], "no waveform"), ([np.zeros(0)], "waveform 0"), ([np.zeros((2, 9))], r"\[2, 9\]")],
)
def test_what_is_not_mono_audio_is_refused(waveforms, words):
    with pytest.raises(ValueError, match=words):
        log_mel(waveforms)
