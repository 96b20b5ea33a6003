"""README's three commands for one's own data, one after the other."""

import sys
from pathlib import Path

import pytest
import soundfile

from madg_speech.cli import main
from madg_speech.model import AdaptedModel
from tests.speech import WORDS, speak


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["madg-speech", *map(str, words)])
    try:
        main()
    except SystemExit as exit:
        return int(exit.code or 0)
    return 0


def test_csv_to_adapter_to_transcript(
    model: AdaptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.save_pretrained(tmp_path / "checkpoint")
    rows = ["file,text"]
    for i, word in enumerate(WORDS["swh"] * 3):
        soundfile.write(tmp_path / f"{i}.wav", speak(word, 0.1 + i / 500), 16000)
        rows.append(f"{i}.wav,{word}")
    table = tmp_path / "recordings.csv"
    table.write_text("\n".join(rows) + "\n")
    data, adapter = tmp_path / "data", tmp_path / "adapter"
    assert call(monkeypatch, "prepare", "csv", table, "--lang", "sw", "-o", data) == 0
    refine = ("refine", "--lang", "swh", "--manifest", data / "train.jsonl")
    refine += ("--dev", data / "dev.jsonl", "-o", adapter, "--steps", 3, "--device", "cpu")
    assert call(monkeypatch, *refine, "--checkpoint", tmp_path / "checkpoint") == 0
    capsys.readouterr()
    # the adapter says which checkpoint it belongs to
    talk = ("transcribe", "--lang", "swh", "--adapter", adapter, tmp_path / "0.wav", "--quiet")
    assert call(monkeypatch, *talk) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_a_language_that_is_none_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "recordings.csv"
    table.write_text("file,text\n0.wav,bado\n")
    assert call(monkeypatch, "prepare", "csv", table, "--lang", "swz", "-o", tmp_path / "d") == 2
    assert "swz" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
