import re
import sys
from pathlib import Path

import pytest
import soundfile

from madg_speech.cli import main
from madg_speech.model import AdaptedModel
from tests.speech import speak


def demo(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    monkeypatch.setattr(sys, "argv", ["madg-speech", "demo", *map(str, args)])
    with pytest.raises(SystemExit) as exit:
        main()
    assert not exit.value.code


def test_synthetic_demo(
    model: AdaptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("espeakng_loader")
    model.save_pretrained(tmp_path / "c")
    demo(monkeypatch, "--checkpoint", tmp_path / "c")
    out = capsys.readouterr().out
    assert out.rstrip().endswith("synthetic voice: says nothing about real speech")
    rates = re.findall(r"(\S+)\s+│\s+(generated|none|wrong \(\w+\))\s+│\s+\d\.\d\d ", out)
    assert len(rates) == 6
    assert out.count("heard") == 10


def test_demo_on_a_recording(
    model: AdaptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.save_pretrained(tmp_path / "c")
    soundfile.write(tmp_path / "talk.wav", speak("bado"), 16000)
    demo(monkeypatch, tmp_path / "talk.wav", "--lang", "swh", "--checkpoint", tmp_path / "c")
    out, err = capsys.readouterr()
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "generated",
        "none",
        "wrong (tsn)",
    ]
    assert err.startswith("Swahili")
