import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from madg_speech.asr import AsrPipeline
from madg_speech.errors import AudioError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.transcribe import Transcriber
from tests.speech import RATE, speak


@pytest.fixture
def pipe(model: AdaptedModel) -> AsrPipeline:
    return AsrPipeline(Transcriber(model), "swh")


@pytest.fixture
def wave() -> np.ndarray:
    return np.concatenate([speak("bado", 0.3), speak("kuku", 0.3)])


def test_every_form_of_audio_says_the_same(
    pipe: AsrPipeline, wave: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, wave, RATE, subtype="FLOAT")
    forms = [
        file,
        str(file),
        file.read_bytes(),
        wave,
        {"array": wave, "sampling_rate": RATE},
        {"raw": wave, "sampling_rate": RATE},
        {"path": str(file), "bytes": None},
        {"path": "a.wav", "bytes": file.read_bytes()},
    ]
    expected = pipe.transcriber.transcribe(file, "swh").text
    assert expected
    assert [pipe(form) for form in forms] == [{"text": expected}] * len(forms)
    assert pipe(forms) == [{"text": expected}] * len(forms)
    assert pipe(iter(forms[:2])) == [{"text": expected}] * 2


def test_other_sampling_rates_are_resampled(pipe: AsrPipeline, wave: np.ndarray) -> None:
    twice = np.repeat(wave, 2)
    (chunk,) = pipe({"array": twice, "sampling_rate": 2 * RATE}, return_timestamps=True)["chunks"]
    assert chunk["timestamp"] == pytest.approx((0, len(wave) / RATE), abs=0.01)


def test_chunks_are_segments_or_words(pipe: AsrPipeline, wave: np.ndarray) -> None:
    plain = pipe(wave)
    words = pipe(wave, return_timestamps="word")
    segments = pipe(wave, return_timestamps=True)
    assert "chunks" not in plain
    assert words["text"] == segments["text"] == plain["text"]
    assert " ".join(chunk["text"] for chunk in words["chunks"]) == plain["text"]
    assert [chunk["text"] for chunk in segments["chunks"]] == [plain["text"]]
    times = [chunk["timestamp"] for chunk in words["chunks"]]
    assert all(start < end for start, end in times)
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(times))


def test_a_call_may_name_its_language(pipe: AsrPipeline, wave: np.ndarray) -> None:
    assert pipe(wave, lang="yor")["text"] != pipe(wave)["text"]
    with pytest.raises(ConfigError, match="which language"):
        AsrPipeline(pipe.transcriber)(wave)


def test_what_is_no_audio_is_named(pipe: AsrPipeline, wave: np.ndarray, tmp_path: Path) -> None:
    for wrong in ({"text": "a"}, {"array": wave}, np.zeros((2, 9)), [3]):
        with pytest.raises(AudioError, match="expected"):
            pipe(wrong)
    with pytest.raises(AudioError, match="not found"):
        pipe(tmp_path / "none.wav")
    with pytest.raises(ConfigError, match="'char'"):
        pipe(wave, return_timestamps="char")
