from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech import windows
from madg_speech.audio import SAMPLE_RATE
from madg_speech.vad import FRAME, SpeechDetector
from madg_speech.windows import cut_windows

NOISE = np.random.default_rng(0).normal(size=40 * SAMPLE_RATE).astype(np.float32)


def in_blocks(audio: np.ndarray, seconds: float) -> list[np.ndarray]:
    size = int(seconds * SAMPLE_RATE)
    return [audio[at : at + size] for at in range(0, len(audio), size)]


@settings(deadline=None, max_examples=40)
@given(
    seconds=st.floats(0.1, 20),
    block=st.floats(0.2, 12),
    longest=st.floats(4, 8),
    seed=st.integers(0, 5),
)
def test_without_detection_nothing_is_lost_and_no_window_is_too_long_or_a_crumb(
    seconds: float, block: float, longest: float, seed: int
) -> None:
    audio = np.random.default_rng(seed).normal(size=int(seconds * SAMPLE_RATE)).astype(np.float32)
    found = list(cut_windows(in_blocks(audio, block), longest, vad=False))
    np.testing.assert_array_equal(np.concatenate([w.waveform for w in found]), audio)
    assert all(w.seconds <= longest for w in found)
    assert len(found) == 1 or found[-1].seconds >= 0.5
    assert [w.start for w in found[1:]] == pytest.approx([w.start + w.seconds for w in found[:-1]])


def test_the_cut_falls_into_the_pause() -> None:
    audio = NOISE.copy()
    audio[int(26.8 * SAMPLE_RATE) : int(27.3 * SAMPLE_RATE)] *= 0.01
    first, second = cut_windows([audio], vad=False)
    assert 26.8 < second.start < 27.3
    assert first.seconds == second.start


def test_audio_that_fits_is_one_window_whatever_is_in_it() -> None:
    (window,) = cut_windows([np.ones(30 * SAMPLE_RATE, np.float32)])
    assert (window.start, window.seconds) == (0, 30)


class Oracle:
    """Stands for the detector: a frame is speech where its samples are not zero."""

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        padded = np.pad(samples, (0, -len(samples) % FRAME))
        return (np.abs(padded.reshape(-1, FRAME)).max(1) > 0).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    spans=st.lists(st.tuples(st.floats(0.1, 12), st.floats(0.1, 6)), min_size=1, max_size=8),
    block=st.floats(0.3, 12),
)
def test_all_speech_is_in_windows_and_long_pauses_are_in_none(
    spans: list[tuple[float, float]], block: float
) -> None:
    parts, speech = [], []
    for spoken, quiet in spans:
        at = sum(map(len, parts))
        parts += [np.zeros(int(quiet * SAMPLE_RATE)), np.ones(int(spoken * SAMPLE_RATE))]
        speech.append((at + len(parts[-2]), at + len(parts[-2]) + len(parts[-1])))
    audio = np.concatenate([*parts, np.zeros(3 * SAMPLE_RATE)]).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SpeechDetector", Oracle)
        found = list(cut_windows(in_blocks(audio, block), 8.0))
    if len(audio) <= 8 * SAMPLE_RATE:
        return
    inside = np.zeros(len(audio), bool)
    for window in found:
        at = round(window.start * SAMPLE_RATE)
        assert window.seconds <= 8
        np.testing.assert_array_equal(window.waveform, audio[at : at + len(window.waveform)])
        assert not inside[at : at + len(window.waveform)].any()
        inside[at : at + len(window.waveform)] = True
    for first, last in speech:
        assert inside[first:last].all()
    for (_, before), (after, _) in pairwise(speech):
        if after - before > 1.5 * SAMPLE_RATE:
            assert not inside[before + SAMPLE_RATE // 2 : after - SAMPLE_RATE // 2].any()


def test_the_detector_hears_no_speech_in_noise_and_blocks_change_nothing() -> None:
    audio = 0.01 * NOISE[: 10 * SAMPLE_RATE + 100]
    whole = SpeechDetector()(audio)
    assert len(whole) == -(-len(audio) // FRAME)
    assert (whole < 0.5).mean() > 0.95
    detector = SpeechDetector()
    pieces = np.split(audio, [FRAME * 7, FRAME * 100, FRAME * 101])
    np.testing.assert_allclose(np.concatenate([detector(p) for p in pieces]), whole, atol=1e-5)


def test_the_detector_hears_speech(tmp_path: Path) -> None:
    engine = pytest.importorskip("madg_speech.text.espeak_engine").Engine()
    spoken = engine.speak(
        "The north wind and the sun.", "en-us", "f2", rate=150, pitch=50, pitch_range=50
    )
    soundfile.write(tmp_path / "s.wav", spoken, engine.sample_rate)
    from madg_speech.audio import load_audio

    voice = load_audio(tmp_path / "s.wav")
    quiet = 1e-4 * NOISE[: 20 * SAMPLE_RATE]
    audio = np.concatenate([quiet, voice, quiet])
    (window,) = cut_windows([audio])
    assert window.start == pytest.approx(20, abs=0.6)
    assert window.seconds == pytest.approx(len(voice) / SAMPLE_RATE, abs=1)
