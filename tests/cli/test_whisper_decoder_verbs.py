"""``--decoder whisper`` in transcribe and evaluate, from checkpoints of either kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from madg_speech.audio import SAMPLE_RATE
from madg_speech.cli import main
from tests.conftest import build_model
from tests.seq2seq import WAVES, adapted_whisper
from tests.speech import write_corpus
from tests.tiny import speech_folder, whole_whisper_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_whisper_folder(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    adapted_whisper(whole).save_pretrained(tmp_path / "seq2seq")
    return tmp_path / "seq2seq"


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", WAVES[0], SAMPLE_RATE, subtype="FLOAT")
    return tmp_path / "talk.wav"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["madg-speech", *map(str, args)])
        try:
            main()
            status = 0
        except SystemExit as exit:
            status = int(exit.code or 0)
        return status, *capsys.readouterr()

    return call


def test_a_seq2seq_checkpoint_needs_no_option(
    run: Run, checkpoint: Path, whole: Path, talk: Path
) -> None:
    status, out, err = run(
        "transcribe", talk, "-l", "yor", "--checkpoint", checkpoint, "-f", "json"
    )
    assert status == 0 and "not for Whisper" not in err
    said = json.loads(out)
    model = adapted_whisper(whole)
    (written,) = model.write(*model.hear(WAVES[:1]), ["yor"], ["yor"])
    expected = model.decoder.tokens.decode(written.tokens)
    assert said["text"] == " ".join(expected.split()) and said["script"] == "native"
    times = [t for word in said["segments"][0]["words"] for t in (word["start"], word["end"])]
    assert times == sorted(times) and 0 <= times[0] <= times[-1] <= said["seconds"] + 1e-3


def test_adapter_and_prompt_both_matter(run: Run, checkpoint: Path, talk: Path) -> None:
    given = ("transcribe", talk, "--checkpoint", checkpoint, "-q", "-l")
    texts = [
        run(*given, *more)[1]
        for more in (
            ("yor",),
            ("yor", "--adapter-from", "swh"),
            ("deu", "--adapter-from", "yor"),
            ("yor", "--adapter-from", "none"),
        )
    ]
    assert all(texts) and len(set(texts)) == 4
    several = run(*given, "swh", "-l", "yor", "-f", "json")
    assert json.loads(several[1])["text"] + "\n" in {run(*given, one)[1] for one in ("swh", "yor")}


def test_a_ctc_checkpoint_lends_its_adapters_and_says_so(
    run: Run, whole: Path, talk: Path, tmp_path: Path
) -> None:
    build_model(whole, kind="madg-ls", layer_embedding_size=4).save_pretrained(tmp_path / "ctc")
    given = ("transcribe", talk, "-l", "swh", "--checkpoint", tmp_path / "ctc")
    romanized, native = run(*given), run(*given, "--decoder", "whisper")
    assert romanized[0] == native[0] == 0 and romanized[1] != native[1]
    assert "trained for ctc, not for Whisper's decoder" in native[2]
    temperature = run(*given, "--prompt-temperature", "0.1")
    assert temperature[0] == 2 and "--decoder whisper" in temperature[2]


def test_what_cannot_be_is_said(
    run: Run, checkpoint: Path, whole: Path, talk: Path, tmp_path: Path
) -> None:
    given = ("transcribe", talk, "--checkpoint", checkpoint)
    (tmp_path / "words.txt").write_text("bado\n")
    status, _, err = run(*given, "-l", "swh", "--lexicon", tmp_path / "words.txt")
    assert status == 2 and "writes native script itself" in err
    assert "has no CTC head" in run(*given, "-l", "swh", "--decoder", "ctc")[2]
    model = adapted_whisper(whole)
    model.source(["fin"]).save(tmp_path / "mine/adapter.safetensors", ["fin"])
    status, _, err = run(*given, "-l", "my dialect", "--adapter", tmp_path / "mine")
    assert status == 2 and "is no known language" in err
    waveforms = build_model(speech_folder(tmp_path / "xls-r", "xls-r"), kind="static")
    waveforms.save_pretrained(tmp_path / "wav2vec2")
    status, _, err = run(
        "transcribe",
        talk,
        "-l",
        "swh",
        "--decoder",
        "whisper",
        "--checkpoint",
        tmp_path / "wav2vec2",
    )
    assert status == 2 and "has no text decoder, only Whisper has" in err


def test_evaluate_scores_it_beside_the_head(run: Run, whole: Path, tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "c", ("yor",), copies=1)
    build_model(whole, kind="two-stage").save_pretrained(tmp_path / "both")
    out = tmp_path / "out"
    given = ("evaluate", "--checkpoint", tmp_path / "both", "--manifest", manifest, "-o", out)
    swaps = ("--adapter-from", "generated", "--adapter-from", "mean", "--bootstrap", 0)
    for decoder in ("ctc", "whisper"):
        assert run(*given, *swaps, "--decoder", decoder)[0] == 0
    written = sorted(path.name for path in (out / "hypotheses").iterdir())
    assert written == [
        "both.generated", "both.generated-whisper", "both.mean", "both.mean-whisper"
    ]  # fmt: skip
    described = json.loads((out / "hypotheses/both.mean-whisper/system.json").read_text())
    assert described["script"] == "native" and "temperature 0.05" in described["decoding"]
    assert described["trained_for"] == "ctc"
    refused = run(*given, "--decoder", "whisper", "--inventory")
    assert refused[0] == 2 and "--inventory" in refused[2]
