"""A real SIGKILL in the middle of ``evaluate``: the next run ends with the same files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from madg_speech.cli.evaluate import app
from madg_speech.model import AdaptedModel
from tests.speech import write_corpus

LANGUAGES = ("deu", "swh", "yor")


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_killed_and_run_again(
    model: AdaptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save_pretrained(tmp_path / "tiny")
    manifest = write_corpus(tmp_path / "corpus", LANGUAGES, copies=1)
    arguments = ["--checkpoint", str(tmp_path / "tiny"), "--manifest", str(manifest)]
    arguments += [
        "--train-text",
        str(manifest),
        "-o",
        "out",
        "--device",
        "cpu",
        "--bootstrap",
        "50",
    ]
    for control in ("generated", "none", "mean", "swh", "deu", "yor"):
        arguments += ["--adapter-from", control]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "madg_speech", "evaluate", *arguments]
    process = subprocess.Popen(command, cwd=killed, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    # One level, no recursion: folders under a temporary name come and go below.
    while process.poll() is None and not list(killed.glob("out/hypotheses/*/swh.jsonl")):
        assert time.monotonic() < until, "nothing was decoded in two minutes"
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = list(killed.rglob("hypotheses/*/*.jsonl"))
    assert 0 < len(done) < 6 * len(LANGUAGES), "the kill came too late to test anything"
    assert not (killed / "out" / "results.json").exists()
    # Results name the command that made them: the same for both.
    monkeypatch.setattr(sys, "argv", command)
    for folder in (killed, whole):
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    # What a killed process was writing lies beside, under a name that nothing reads.
    left = {name: content for name, content in files(killed).items() if "/.tmp-" not in name}
    assert left == files(whole)
