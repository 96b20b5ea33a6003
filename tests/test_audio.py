"""Decoding, resampling and what is refused. Files of every format are encoded here."""

import io
import logging
import tracemalloc
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from madg_speech.audio import (
    MIN_SECONDS,
    SAMPLE_RATE,
    duration,
    find_audio,
    load_audio,
    stream_audio,
    trim_silence,
)
from madg_speech.errors import AudioError

RATE, SECONDS, PITCH = 44100, 1.5, 440.0
BY_SOUNDFILE = ["wav", "flac", "ogg", "opus", "mp3"]
BY_AV = {"m4a": ("ipod", "aac"), "mp4": ("mp4", "aac"), "webm": ("webm", "libopus")}
FORMATS = [*BY_SOUNDFILE, *BY_AV]


def tone(seconds: float = SECONDS, rate: int = RATE, channels: int = 1) -> np.ndarray:
    wave = 0.4 * np.sin(2 * np.pi * PITCH * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    file.seek(0)
    return file


@cache
def encoded(
    suffix: str, channels: int = 2, *, seconds: float = SECONDS, video=False, sound=True
) -> bytes:
    file = io.BytesIO()
    rate = 48000 if "opus" in (suffix, BY_AV.get(suffix, ["", ""])[1][3:]) else RATE
    samples = tone(seconds, rate, channels)
    if suffix in BY_SOUNDFILE:
        kind = {"opus": ("OGG", "OPUS"), "ogg": ("OGG", "VORBIS")}.get(suffix, (suffix, None))
        soundfile.write(file, samples, rate, format=kind[0], subtype=kind[1])
        return file.getvalue()
    container_format, codec = BY_AV[suffix]
    with av.open(file, "w", format=container_format) as container:
        if video:
            pictures = container.add_stream("mpeg4", rate=10)
            pictures.width = pictures.height = 32
            pictures.pix_fmt = "yuv420p"
        if sound:
            stream = container.add_stream(codec, rate=rate, layout=["mono", "stereo"][channels - 1])
            layout = ["mono", "stereo"][channels - 1]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples.T), format="fltp", layout=layout
            )
            frame.sample_rate = rate
            frame.pts = 0
            container.mux(stream.encode(frame) + stream.encode(None))
        if video:
            for _ in range(3):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
    return file.getvalue()


def pitch(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * SAMPLE_RATE / len(waveform))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_decoded_to_mono_16_khz(suffix: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{suffix}"
    path.write_bytes(encoded(suffix, channels))
    waveform = load_audio(path)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert len(waveform) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.06)  # encoders pad
    assert pitch(waveform) == pytest.approx(PITCH, abs=2)
    assert np.abs(waveform[8000:16000]).max() == pytest.approx(0.4, abs=0.06)  # mp3 and opus waver
    assert duration(path) == pytest.approx(SECONDS, abs=0.06)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    for suffix, name in [("m4a", "a.wav"), ("wav", "a.mp3"), ("flac", "a.raw"), ("webm", "a")]:
        path = tmp_path / name
        path.write_bytes(encoded(suffix))
        assert pitch(load_audio(str(path))) == pytest.approx(PITCH, abs=2)


def test_channels_are_averaged() -> None:
    samples = tone(channels=2)
    samples[:, 1] *= 0.5
    left = load_audio(wav(samples[:, 0]))
    np.testing.assert_allclose(load_audio(wav(samples)), 0.75 * left, atol=1e-6)


@given(st.integers(2000, 200_000), st.integers(0, 20_000))
@settings(max_examples=40, deadline=None)
def test_resampling_keeps_the_duration_within_a_sample(rate: int, extra: int) -> None:
    frames = round(rate * MIN_SECONDS) + 1 + extra
    assume(frames / rate < 5)
    waveform = load_audio(wav(tone(frames / rate + 1 / rate, rate)[:frames], rate))
    assert abs(len(waveform) - frames * SAMPLE_RATE / rate) <= 1
    assert np.abs(waveform).max() <= 1


def test_16_khz_comes_through_untouched() -> None:
    samples = tone(rate=SAMPLE_RATE)
    np.testing.assert_array_equal(load_audio(wav(samples, SAMPLE_RATE)), samples[:, 0])


def test_resampling_removes_what_16_khz_cannot_hold() -> None:
    time = np.arange(2 * 48000) / 48000
    high = (0.5 * np.sin(2 * np.pi * 12000 * time)).astype(np.float32)
    low = (0.1 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    waveform = load_audio(wav(high + low, 48000))[1000:-1000]
    assert np.abs(waveform).max() == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("block_seconds", [0.013, 0.4, 30])
def test_blocks_joined_are_the_whole(suffix: str, block_seconds: float) -> None:
    data = encoded(suffix)
    blocks = list(stream_audio(io.BytesIO(data), block_seconds))
    size = round(block_seconds * SAMPLE_RATE)
    assert all(len(block) == size for block in blocks[:-1]) and 0 < len(blocks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(io.BytesIO(data)))


@pytest.mark.parametrize("suffix", ["wav", "m4a"])
def test_streaming_holds_a_block_and_not_the_file(suffix: str) -> None:
    # The samples of a minute of 44.1 kHz float take 10 MB; a block of a second takes 64 KB.
    minute = np.tile(tone(1), (60, 1))
    file = wav(minute) if suffix == "wav" else io.BytesIO()
    if suffix == "m4a":
        with av.open(file, "w", format="ipod") as container:
            stream = container.add_stream("aac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(minute.T.copy(), format="fltp", layout="mono")
            frame.sample_rate = RATE
            frame.pts = 0
            container.mux(stream.encode(frame) + stream.encode(None))
        file.seek(0)
    tracemalloc.start()
    try:
        total = sum(len(block) for block in stream_audio(file, 1.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == pytest.approx(60 * SAMPLE_RATE, abs=3000)
    assert peak < 2_000_000


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
def test_start_and_end_cut_the_interval(suffix: str) -> None:
    data = encoded(suffix)
    whole = load_audio(io.BytesIO(data))
    part = load_audio(io.BytesIO(data), start=0.5, end=1.25)
    assert len(part) == 0.75 * SAMPLE_RATE
    # The resampler sees silence beyond a cut, hence not quite the same at the ends.
    np.testing.assert_allclose(part[500:-500], whole[8500:19500], atol=2e-3)
    assert len(load_audio(io.BytesIO(data), end=99)) == len(whole)


def test_an_interval_past_the_end_says_how_long_the_audio_is() -> None:
    with pytest.raises(AudioError, match=r"from 7 s on, the audio is 1\.50 s"):
        load_audio(wav(tone()), start=7)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (1, 1), (float("nan"), None)])
def test_a_wrong_interval_is_a_value_error(start: float, end: float | None) -> None:
    with pytest.raises(ValueError, match="interval"):
        load_audio(wav(tone()), start=start, end=end)


def test_a_block_must_hold_a_sample() -> None:
    with pytest.raises(ValueError, match="block_seconds"):
        stream_audio(wav(tone()), 0)


def test_a_stream_that_cannot_seek_is_read_whole() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert pitch(load_audio(Pipe(encoded("m4a")))) == pytest.approx(PITCH, abs=2)


@pytest.mark.parametrize("read", [load_audio, duration, lambda path: list(stream_audio(path))])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found"),
        (b"", r"empty \(0 bytes\)"),
        (b"this is a text file\n" * 50, "not an audio file"),
        (b"#EXTM3U\n#EXTINF:1,\nother.wav\n", "not an audio file"),  # a playlist opens nothing
    ],
)
def test_what_is_no_audio_is_refused_by_name(read, content, message, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    (tmp_path / "other.wav").write_bytes(encoded("wav"))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"talk\.wav.*{message}|{message}.*talk\.wav"):
        read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder"):
        load_audio(tmp_path)


def test_a_video_with_sound_is_read_and_one_without_is_refused(tmp_path: Path) -> None:
    assert pitch(load_audio(io.BytesIO(encoded("mp4", 1, video=True)))) == pytest.approx(
        PITCH, abs=2
    )
    mute = tmp_path / "mute.mp4"
    mute.write_bytes(encoded("mp4", 1, video=True, sound=False))
    with pytest.raises(AudioError, match=r"mute\.mp4: a video without an audio track"):
        load_audio(mute)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (tone(0.05), r"0\.050 s of audio; at least 0\.1 s"),
        (tone() * 0, "silent.*digital zero"),
        (tone() * 1e-3, "silent.*-68 dBFS"),
        (np.where(np.arange(9000) == 70, np.nan, tone()[:9000, 0]), "NaN"),
        (np.where(np.arange(9000) == 8999, np.inf, tone()[:9000, 0]), "infinite"),
        (tone() * 32768, "reach 13107.*divide"),
    ],
)
def test_what_cannot_be_transcribed_is_refused(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        load_audio(wav(samples))


def test_overshoot_is_clipped() -> None:
    assert np.abs(load_audio(wav(tone() * 3))).max() == 1


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "mp3", "webm"])
def test_a_file_that_breaks_off_is_decoded_as_far_as_it_goes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half.{suffix}"
    data = encoded(suffix, seconds=6)
    path.write_bytes(data[: len(data) // 2])
    waveform = load_audio(path)
    assert 1.5 < len(waveform) / SAMPLE_RATE < 4
    assert pitch(waveform[: SAMPLE_RATE // 4]) == pytest.approx(PITCH, abs=5)


def test_a_loss_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "half.mp3"
    path.write_bytes(encoded("mp3")[: len(encoded("mp3")) // 2])
    with caplog.at_level(logging.WARNING, "madg_speech"):
        load_audio(path)
    assert "half.mp3" in caplog.text and "breaks off" in caplog.text


def attempt(data: bytes) -> None:
    try:
        waveform = load_audio(io.BytesIO(data))
    except AudioError:
        return
    assert len(waveform) >= MIN_SECONDS * SAMPLE_RATE
    assert np.isfinite(waveform).all()


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@given(
    st.binary(max_size=600), st.sampled_from([b"", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\xff\xfb"])
)
@FUZZ
def test_random_bytes_raise_nothing_but_audio_error(data: bytes, magic: bytes) -> None:
    attempt(magic + data)


@given(st.sampled_from(FORMATS), st.floats(0, 1))
@FUZZ
def test_truncated_files_raise_nothing_but_audio_error(suffix: str, share: float) -> None:
    data = encoded(suffix)
    attempt(data[: int(share * len(data))])


@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 400) | st.integers(0, 30_000), st.binary(max_size=4))),
)
@FUZZ
def test_damaged_files_raise_nothing_but_audio_error(suffix: str, damage: list) -> None:
    data = bytearray(encoded(suffix))
    for place, junk in damage:
        data[place % len(data) : place % len(data) + len(junk)] = junk
    attempt(bytes(data))


def test_find_audio_searches_folders_and_takes_files_as_named(tmp_path: Path) -> None:
    deep = tmp_path / "b" / "deep"
    deep.mkdir(parents=True)
    for name in ("b/2.WAV", "b/deep/1.webm", "a.mp3", "b/notes.txt", "b/._2.wav", "odd.bin"):
        (tmp_path / name).write_bytes(b"x")
    found = find_audio([tmp_path / "odd.bin", tmp_path / "b", str(tmp_path)])
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "a.mp3", "b/2.WAV", "b/deep/1.webm", "odd.bin",
    ]  # fmt: skip


def test_find_audio_names_what_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"not found: .*gone\.wav"):
        find_audio([tmp_path / "gone.wav"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(AudioError, match="no audio in folder"):
        find_audio([tmp_path])


def test_trim_silence_cuts_both_ends_only() -> None:
    speech = tone(0.5, SAMPLE_RATE)[:, 0]
    gap = np.zeros(SAMPLE_RATE, np.float32)
    trimmed = trim_silence(np.concatenate([gap, speech, gap[:4000], speech, gap]))
    assert len(trimmed) == pytest.approx(2 * len(speech) + 4000, abs=2500)
