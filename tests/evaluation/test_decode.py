"""Decoding: what is finished is kept, what cannot be decoded is named, controls do what they say."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from madg_speech.cli.evaluate import app
from madg_speech.data.manifest import read_manifest
from madg_speech.errors import ConfigError
from madg_speech.evaluation.decode import decode
from madg_speech.evaluation.folder import by_language
from madg_speech.evaluation.hypotheses import read_hypotheses
from madg_speech.evaluation.swaps import SWAPS, other_vector
from madg_speech.evaluation.systems import CheckpointSystem
from madg_speech.model import AdaptedModel
from tests.conftest import build_model
from tests.speech import write_corpus


class Echo:
    """Says how many samples it heard; dies at a language if told so."""

    name = "echo"
    max_seconds = 1.0

    def __init__(self, version: int = 1, dies_at: str | None = None):
        self.version, self.dies_at, self.heard = version, dies_at, []

    def describe(self):
        return {"kind": "echo", "script": "romanized", "version": self.version}

    def condition(self, language):
        return language

    def transcribe(self, waveforms, language):
        if language == self.dies_at:
            raise KeyboardInterrupt
        self.heard.append(language)
        return [f"{len(waveform)}" for waveform in waveforms]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_run_goes_on_and_ends_with_the_same_files(tmp_path: Path) -> None:
    references = by_language(read_manifest(write_corpus(tmp_path / "c")))
    decode(Echo(), references, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        decode(Echo(dies_at="yor"), references, tmp_path / "cut")
    assert (tmp_path / "cut" / "swh.jsonl").is_file()
    assert not (tmp_path / "cut" / "yor.jsonl").exists()
    second = Echo()
    decode(second, references, tmp_path / "cut")
    assert set(second.heard) == {"yor"}
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_stale_hypotheses_are_redone_or_refused(tmp_path: Path) -> None:
    references = by_language(read_manifest(write_corpus(tmp_path / "c")))
    decode(Echo(), references, tmp_path / "out")
    changed = references["swh"][0].audio
    os.utime(changed, (2e9, 2e9))
    again = Echo()
    decode(again, references, tmp_path / "out")
    assert set(again.heard) == {"swh"}
    with pytest.raises(ConfigError, match=r"differs in version.*--fresh"):
        decode(Echo(version=2), references, tmp_path / "out")
    fresh = Echo(version=2)
    decode(fresh, references, tmp_path / "out", fresh=True)
    assert set(fresh.heard) == {"swh", "yor"}


def test_order_and_batches_do_not_matter_and_bad_audio_keeps_its_line(tmp_path: Path) -> None:
    references = by_language(read_manifest(write_corpus(tmp_path / "c", ("swh",))))
    broken = references["swh"][1]
    broken.audio.write_bytes(b"no audio")
    decode(Echo(), references, tmp_path / "one", seconds_per_batch=0.1)
    decode(Echo(), references, tmp_path / "all", seconds_per_batch=1e6)
    assert files(tmp_path / "one") == files(tmp_path / "all")
    found, _ = read_hypotheses(tmp_path / "one" / "swh.jsonl")
    assert [h.id for h in found] == [u.id for u in references["swh"]]
    assert found[1].text == "" and broken.audio.name in found[1].error
    short = Echo()
    short.max_seconds = 0.2
    decode(short, references, tmp_path / "short")
    assert "takes 0 s" in read_hypotheses(tmp_path / "short" / "swh.jsonl")[0][0].error


def test_adapter_controls(tiny_whisper: Path, tmp_path: Path) -> None:
    import numpy as np
    import torch

    model = build_model(tiny_whisper, kind="two-stage")
    model.save_pretrained(tmp_path / "run" / "checkpoint")
    wave = [np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)]
    systems = {
        control: CheckpointSystem(model, tmp_path / "run" / "checkpoint", control)
        for control in ("generated", *SWAPS, "de")
    }
    assert systems["de"].name == "run.deu"
    assert systems["nearest"].condition("deu") not in (None, "deu")
    assert systems["none"].condition("wol") is None
    expected = systems["generated"].transcribe(wave, "deu")
    assert systems["de"].transcribe(wave, "wol") == expected
    assert systems["mean"].transcribe(wave, "wol") == systems["mean"].transcribe(wave, "fin")
    assert systems["same-clade"].condition("nld") == "deu"
    drawn = {systems["other-family"].condition(code) for code in ("nld", "spa", "hin", "ces")}
    assert drawn <= {"swh", "yor", "fin"} and len(drawn) > 1
    first, second = (other_vector("random", code, model) for code in ("wol", "hau"))
    assert not torch.equal(first.down, second.down)
    assert torch.equal(first.down, other_vector("random", "wol", model).down)
    zero = model.source.static.up - other_vector("zero", "wol", model).up[0]
    moved = model.source.tables(model.source.embed(model.source.mean)[None, None])["up"][0]
    torch.testing.assert_close(zero, moved.expand_as(zero))
    static = build_model(tiny_whisper, kind="static")
    with pytest.raises(ConfigError, match="needs a generator"):
        CheckpointSystem(static, tmp_path, "mean")


def test_the_mean_adapter_of_a_two_stage_source_is_its_static_part(tiny_whisper: Path) -> None:
    import torch

    model = build_model(tiny_whisper, kind="two-stage")
    static = model.source.static(["deu"])
    assert torch.allclose(other_vector("mean", "wol", model).down, static.down, atol=1e-5)


def test_the_command_line_evaluates_and_rescores(
    model: AdaptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save_pretrained(tmp_path / "tiny")
    manifest = write_corpus(tmp_path / "c", ("swh", "deu"), copies=1)
    out = tmp_path / "out"
    arguments = ["--checkpoint", tmp_path / "tiny", "--manifest", manifest, "-o", out]
    arguments += ["--adapter-from", "generated", "--adapter-from", "none", "--bootstrap", 20]
    arguments += ["--train-text", manifest, "--device", "cpu"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "Swahili" in done.output and "in its training: deu swh" in done.output
    results = json.loads((out / "results.json").read_text())
    assert results["leak_filter"]["per_language"] == {"deu": 4, "swh": 4}
    assert results["systems"]["tiny.generated"]["description"]["sha256"]
    assert results["settings"]["normalizer"] == "default-1"
    again = CliRunner().invoke(app, ["--rescore", str(out), "--normalizer", "none"])
    assert again.exit_code == 0, again.output
    rescored = json.loads((out / "results.json").read_text())
    assert rescored["settings"]["normalizer"] == "none-1"
    assert rescored["leak_filter"] == results["leak_filter"]
