import json
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from madg_speech.adapters import AdapterWeights
from madg_speech.audio import SAMPLE_RATE
from madg_speech.decoding.beam import LexiconDecoder
from madg_speech.decoding.greedy import greedy_decode
from madg_speech.decoding.lexicon import Lexicon
from madg_speech.errors import AudioError, CheckpointError, ConfigError, UnknownLanguageError
from madg_speech.model import AdaptedModel
from madg_speech.transcribe import Transcriber, load
from madg_speech.transcript import Failure, Transcript
from madg_speech.typology import load_typology
from tests.conftest import build_model
from tests.speech import speak
from tests.tiny import whisper_folder

TALK = speak("bado kuku dada")


@pytest.fixture
def transcriber(model: AdaptedModel) -> Transcriber:
    return Transcriber(model)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, TALK, SAMPLE_RATE)
    return path


def write(path: Path, waveform: np.ndarray) -> Path:
    soundfile.write(path, waveform, SAMPLE_RATE)
    return path


def encode(path: Path, codec: str, rate: int) -> Path:
    """Write TALK in stereo by PyAV, so that what is read is not what soundfile wrote."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        pcm = (np.stack([TALK, TALK], axis=1).reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=rate)
        fifo = av.AudioFifo()
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        position = 0
        while chunk := fifo.read(size) or fifo.read(0, partial=True):
            chunk.pts, position = position, position + chunk.samples
            container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 8000),
        ("flac", "flac", 44100),
        ("ogg", "libopus", 24000),
        ("mp3", "libmp3lame", 44100),
        ("m4a", "aac", 48000),
        ("mp4", "aac", 16000),
        ("webm", "libopus", 48000),
    ],
)
def test_every_format(
    transcriber: Transcriber, tmp_path: Path, suffix: str, codec: str, rate: int
) -> None:
    result = transcriber.transcribe(encode(tmp_path / f"talk.{suffix}", codec, rate), "swh")
    assert result.seconds == pytest.approx(len(TALK) / SAMPLE_RATE, abs=0.1)
    assert result.text
    assert set(result.text) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_transcript_describes_itself(transcriber: Transcriber, talk: Path) -> None:
    result = transcriber.transcribe(talk, lang="Swahili")
    assert (result.language, result.adapter, result.script) == ("swh", "swh", "romanized")
    (segment,) = result.segments
    assert (segment.start, segment.end) == (0, result.seconds)
    assert result.text == segment.text


def test_adapter_none_equals_the_model_with_adapters_off(
    transcriber: Transcriber, talk: Path
) -> None:
    waveform = soundfile.read(talk, dtype="float32")[0]
    model = transcriber.model
    off = greedy_decode(*model.log_probs([waveform], [None]), model.vocabulary)[0]
    assert transcriber.transcribe(talk, "swh", adapter_from="none").text == " ".join(off.split())
    assert transcriber.transcribe(talk, "swh").text != off


def test_adapter_from_another_language(transcriber: Transcriber, talk: Path) -> None:
    other = transcriber.transcribe(talk, "swh", adapter_from="fin")
    assert (other.language, other.adapter) == ("swh", "fin")
    assert other.text == transcriber.transcribe(talk, "fin").text
    assert other.text != transcriber.transcribe(talk, "swh").text


def test_alone_equals_in_a_batch_and_order_is_kept(
    transcriber: Transcriber, tmp_path: Path
) -> None:
    words = ["dadakukubado", "ab", "kuku", "bado" * 6, "oko"]
    files = [write(tmp_path / f"{i}.wav", speak(word)) for i, word in enumerate(words)]
    together = list(transcriber.transcribe_many(files, "swh"))
    assert together == [transcriber.transcribe(file, "swh") for file in files]


def test_small_pools_change_nothing(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write(tmp_path / f"{i}.wav", speak("bado" * (5 - i))) for i in range(5)]
    expected = list(transcriber.transcribe_many(files, "yor"))
    monkeypatch.setattr("madg_speech.pipeline.POOL_SECONDS", 1.5)
    monkeypatch.setattr("madg_speech.pipeline.BATCH_SECONDS", 4.0)
    done: list[float] = []
    got = list(transcriber.transcribe_many(files, "yor", on_progress=done.append))
    assert got == expected
    assert sum(done) == pytest.approx(sum(result.seconds for result in expected))


def test_long_audio_comes_in_windows_without_gap(transcriber: Transcriber, tmp_path: Path) -> None:
    tone = np.tile(speak("bado"), 120)  # 72 s
    path = write(tmp_path / "long.wav", tone)
    result = transcriber.transcribe(path, "swh", vad=False)
    assert len(result.segments) == 3
    assert result.segments[0].start == 0
    assert result.segments[-1].end == result.seconds == 72
    for before, after in zip(result.segments, result.segments[1:], strict=False):
        assert before.end == after.start
        assert before.end - before.start <= 30
    assert result.text == " ".join(segment.text for segment in result.segments)


def test_silent_windows_have_no_segment(transcriber: Transcriber, tmp_path: Path) -> None:
    quiet = np.concatenate([np.zeros(40 * SAMPLE_RATE, np.float32), TALK])
    path = write(tmp_path / "late.wav", quiet)
    result = transcriber.transcribe(path, "swh", vad=False)
    assert result.segments[0].start > 17
    assert result.seconds == pytest.approx(len(quiet) / SAMPLE_RATE, abs=1e-3)


def test_long_audio_without_speech_says_so(transcriber: Transcriber, tmp_path: Path) -> None:
    hiss = 0.01 * np.random.default_rng(0).normal(size=40 * SAMPLE_RATE)
    with pytest.raises(AudioError, match=r"no speech found in 40 s.*--no-vad"):
        transcriber.transcribe(write(tmp_path / "hiss.wav", hiss), "swh")


def test_words_have_times_inside_their_segment(transcriber: Transcriber, talk: Path) -> None:
    result = transcriber.transcribe(talk, "swh")
    (segment,) = result.segments
    assert segment.words
    assert " ".join(word.text for word in segment.words) == result.text
    times = [time for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert segment.start <= times[0] <= times[-1] <= segment.end
    assert all(0 < word.probability <= 1 for word in segment.words)


def test_start_and_end(transcriber: Transcriber, talk: Path, tmp_path: Path) -> None:
    part = TALK[int(0.3 * SAMPLE_RATE) : int(1.1 * SAMPLE_RATE)]
    alone = transcriber.transcribe(write(tmp_path / "part.wav", part), "swh")
    result = transcriber.transcribe(talk, "swh", start=0.3, end=1.1)
    assert result.text == alone.text
    assert (result.segments[0].start, result.segments[0].end) == (0.3, 1.1)
    assert result.words[0].start == pytest.approx(alone.words[0].start + 0.3)
    with pytest.raises(ConfigError, match="no interval"):
        transcriber.transcribe(talk, "swh", start=2, end=1)
    with pytest.raises(AudioError, match="nothing from 50"):
        transcriber.transcribe(talk, "swh", start=50)


def test_of_several_languages_the_best_scoring_one(
    transcriber: Transcriber, talk: Path, tmp_path: Path
) -> None:
    files = [talk, write(tmp_path / "two.wav", speak("oko bobo"))]
    langs = ["swh", "fin", "yor"]
    for result in transcriber.transcribe_many(files, langs):
        assert isinstance(result, Transcript)
        waveform = soundfile.read(result.source, dtype="float32")[0]
        expected = {
            lang: float(transcriber.model.log_probs([waveform], [lang])[0].amax(-1).mean())
            for lang in langs
        }
        assert result.scores == pytest.approx(expected, abs=1e-3)
        assert result.language == max(expected, key=expected.__getitem__)
        assert result.text == transcriber.transcribe(result.source, result.language).text


def test_auto_asks_whisper_for_each_file(
    transcriber: Transcriber, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "two.wav", speak("kuku"))
    answers = {len(TALK): {"fin": 0.9, "swh": 0.1}, len(speak("kuku")): {"yor": 0.8, "fin": 0.2}}
    monkeypatch.setattr(
        "madg_speech.decoding.language_id.posterior", lambda _, waveform: answers[len(waveform)]
    )
    first, second, third = transcriber.transcribe_many([talk, other, talk], "auto")
    assert [r.language for r in (first, second, third)] == ["fin", "yor", "fin"]
    assert first.scores == {"fin": 0.9, "swh": 0.1}
    assert second.text == transcriber.transcribe(other, "yor").text
    assert first.text == third.text == transcriber.transcribe(talk, "fin").text


def test_a_lexicon_writes_native_script(transcriber: Transcriber, talk: Path) -> None:
    words = {c.upper() * 2: c for c in "abcdefghijklmnopqrstuvwxyz"}
    decoder = LexiconDecoder(Lexicon(words, {}), transcriber.model.vocabulary)
    result = transcriber.transcribe(talk, "swh", decoder=decoder)
    assert result.script == "native"
    assert result.words
    assert {word.text for word in result.words} <= set(words)
    with pytest.raises(ConfigError, match="one language"):
        transcriber.transcribe(talk, ["swh", "fin"], decoder=decoder)


def test_a_bad_file_fails_alone(transcriber: Transcriber, talk: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio at all")
    first, second, third = transcriber.transcribe_many([talk, bad, talk], "swh")
    assert isinstance(second, Failure)
    assert "bad.wav" in str(second.error)
    assert isinstance(first, Transcript)
    assert first == third == transcriber.transcribe(talk, "swh")


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 8), (48000, 2)])
def test_other_rates_and_many_channels(
    transcriber: Transcriber, tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "other.wav"
    wave = np.repeat(TALK[:, None], channels, axis=1)
    soundfile.write(path, wave, rate)  # at another rate: another speed, and still a recording
    result = transcriber.transcribe(path, "swh")
    assert result.seconds == pytest.approx(len(TALK) / rate, abs=0.01)
    assert result.text


def test_clipped_audio_is_transcribed(transcriber: Transcriber, tmp_path: Path) -> None:
    loud = np.clip(20 * TALK, -1, 1)
    result = transcriber.transcribe(write(tmp_path / "loud.wav", loud), "swh")
    assert result.text


@pytest.mark.parametrize(
    ("waveform", "said"),
    [(TALK[:800], "0.050 s"), (np.zeros(SAMPLE_RATE), "silent"), (np.zeros(0), "no audio")],
)
def test_nothing_to_transcribe(
    transcriber: Transcriber, tmp_path: Path, waveform: np.ndarray, said: str
) -> None:
    path = write(tmp_path / "poor.wav", waveform)
    with pytest.raises(AudioError, match=said) as error:
        transcriber.transcribe(path, "swh")
    assert "poor.wav" in str(error.value)


def test_threads_with_two_languages_do_not_mix(transcriber: Transcriber, talk: Path) -> None:
    languages = ("swh", "fin", "wol", "yor")
    expected = {lang: transcriber.transcribe(talk, lang).text for lang in languages}
    assert len(set(expected.values())) > 1
    wrong = []

    def work(lang: str) -> None:
        for _ in range(5):
            if transcriber.transcribe(talk, lang).text != expected[lang]:
                wrong.append(lang)

    threads = [threading.Thread(target=work, args=(lang,)) for lang in languages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_own_vector_serves_any_label(transcriber: Transcriber, talk: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(load_typology().vectors(["fin"])[0].tolist()))
    mine = transcriber.transcribe(talk, transcriber.condition("my dialect", vector=path))
    assert (mine.language, mine.adapter) == ("my dialect", str(path))
    assert mine.text == transcriber.transcribe(talk, "fin").text
    with pytest.raises(UnknownLanguageError):
        transcriber.condition("my dialect")


def test_own_vector_does_not_stay(transcriber: Transcriber, talk: Path, tmp_path: Path) -> None:
    before = transcriber.transcribe(talk, "swh").text
    np.save(tmp_path / "mine.npy", load_typology().vectors(["fin"])[0])
    transcriber.condition("swh", vector=tmp_path / "mine.npy")
    assert transcriber.transcribe(talk, "swh").text == before


def test_own_vector_needs_a_source_that_reads_vectors(tiny_whisper: Path, tmp_path: Path) -> None:
    static = Transcriber(build_model(tiny_whisper, kind="static"))
    with pytest.raises(ConfigError, match="static"):
        static.condition("swh", vector=tmp_path / "mine.npy")


def test_adapter_folder(transcriber: Transcriber, talk: Path, tmp_path: Path) -> None:
    transcriber.model.source(["fin"]).save(tmp_path / "a" / "adapter.safetensors", ["fin"])
    mine = transcriber.transcribe(talk, transcriber.condition("qqq", adapter=tmp_path / "a"))
    assert (mine.language, mine.adapter) == ("qqq", str(tmp_path / "a"))
    assert mine.text == transcriber.transcribe(talk, "fin").text


def test_adapter_folders_that_do_not_fit(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no adapter folder"):
        transcriber.condition("swh", adapter=tmp_path)
    two = transcriber.model.source(["fin", "swh"])
    two.save(tmp_path / "two" / "adapter.safetensors", ["fin", "swh"])
    with pytest.raises(CheckpointError, match="2 languages"):
        transcriber.condition("swh", adapter=tmp_path / "two")
    tensors = {name: torch.zeros(1, 1, 2, 2) for name in ("down", "up")}
    biases = {name: torch.zeros(1, 1, 2) for name in ("down_bias", "up_bias")}
    other = AdapterWeights((0,), **tensors, **biases)
    other.save(tmp_path / "other" / "adapter.safetensors", ["fin"])
    (tmp_path / "other" / "adapter.json").write_text('{"checkpoint": "elsewhere"}')
    with pytest.raises(CheckpointError, match="elsewhere"):
        transcriber.condition("swh", adapter=tmp_path / "other")


def test_ways_to_an_adapter_exclude_each_other(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--adapter-from and --adapter"):
        transcriber.condition("swh", adapter_from="fin", adapter=tmp_path)


def test_load(model: AdaptedModel, talk: Path, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    loaded = load(tmp_path / "c", device="cpu")
    assert loaded.transcribe(talk, "wol") == Transcriber(model).transcribe(talk, "wol")
    with pytest.raises(ConfigError, match="'abacus'"):
        load(tmp_path / "c", device="abacus")
    with pytest.raises(CheckpointError, match="4 layers of 32"):
        load(tmp_path / "c", backbone=str(whisper_folder(tmp_path / "wide", d_model=48)))


def test_a_package_without_default_checkpoint_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madg_speech.checkpoint.DEFAULT", tmp_path / "default")
    with pytest.raises(CheckpointError, match="--checkpoint"):
        load("default")
