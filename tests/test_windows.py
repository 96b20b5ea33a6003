import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.audio import SAMPLE_RATE
from madg_speech.windows import cut_windows


@settings(deadline=None, max_examples=40)
@given(
    seconds=st.floats(0.1, 20),
    block=st.floats(0.2, 12),
    longest=st.floats(4, 8),
    seed=st.integers(0, 5),
)
def test_nothing_is_lost_and_no_window_is_too_long_or_a_crumb(
    seconds: float, block: float, longest: float, seed: int
) -> None:
    audio = np.random.default_rng(seed).normal(size=int(seconds * SAMPLE_RATE)).astype(np.float32)
    size = int(block * SAMPLE_RATE)
    blocks = [audio[at : at + size] for at in range(0, len(audio), size)]
    windows = list(cut_windows(blocks, longest))
    np.testing.assert_array_equal(np.concatenate([w.waveform for w in windows]), audio)
    assert all(w.seconds <= longest for w in windows)
    assert len(windows) == 1 or windows[-1].seconds >= 0.5
    assert [w.start for w in windows[1:]] == pytest.approx(
        [w.start + w.seconds for w in windows[:-1]]
    )


def test_the_cut_falls_into_the_pause() -> None:
    audio = np.random.default_rng(0).normal(size=40 * SAMPLE_RATE).astype(np.float32)
    audio[int(26.8 * SAMPLE_RATE) : int(27.3 * SAMPLE_RATE)] *= 0.01
    first, second = cut_windows([audio])
    assert 26.8 < second.start < 27.3
    assert first.seconds == second.start


def test_audio_that_fits_is_one_window() -> None:
    (window,) = cut_windows([np.ones(30 * SAMPLE_RATE, np.float32)])
    assert window.start == 0
    assert window.seconds == 30
