"""Runs of pretrain and refine without text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from madg_speech.adapters import AdapterWeights
from madg_speech.checkpoint import read_model_config, read_weights
from madg_speech.cli import app
from madg_speech.errors import CheckpointError, ConfigError, ManifestError
from madg_speech.model import AdaptedModel
from tests.conftest import build_model
from tests.objectives.test_contrastive import pretrained
from tests.objectives.test_masked_prediction import predictor
from tests.speech import write_corpus
from tests.test_pretrain import losses, run, settings


def without_text(manifest: Path) -> Path:
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        del line["text"]
    manifest.write_text("\n".join(map(json.dumps, lines)))
    return manifest


@pytest.mark.parametrize("cached", [True, False])
def test_best_rq_learns_without_text_and_starts_ctc(
    tiny_whisper: Path, tmp_path: Path, cached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    train = without_text(write_corpus(tmp_path / "train", ("swh", "yor")))
    dev = without_text(write_corpus(tmp_path / "dev", ("deu",), copies=1))
    common = {
        "objective": "best-rq",
        "best_rq": {"codes": 16, "code_size": 8, "mask_span": 4},
        "data": {"train": [str(train)], "dev": [str(dev)]},
    }
    training = {"steps": 30, "eval_every": 15, "learning_rate": 1e-2, "cache_prefix": cached}
    folder = run(settings(tiny_whisper, train, tmp_path / "a", training=training, **common))
    history = losses(tmp_path / "a")
    assert all(map(math.isfinite, history))
    assert history[-1] < history[0]
    said = capsys.readouterr().err
    assert "dev loss" in said and "dev accuracy" in said and "dev code perplexity" in said
    assert read_model_config(folder).objective == "best-rq"
    assert "no transcriber" in (folder / "README.md").read_text()
    with pytest.raises(CheckpointError, match="no CTC head"):
        AdaptedModel.from_pretrained(folder)

    spoken = write_corpus(tmp_path / "spoken", ("swh", "yor"))
    ctc = settings(
        tiny_whisper,
        spoken,
        tmp_path / "b",
        init_from=str(folder),
        training={"learning_rate": 1e-12, "steps": 1, "warmup_steps": 0},
    )
    begun = run(ctc)
    torch.testing.assert_close(
        read_weights(begun)["source.down"], read_weights(folder)["source.down"]
    )
    assert set(read_weights(begun)) == {
        "head.weight", "head.bias", "source.down", "source.down_bias", "source.up", "source.up_bias",
    }  # fmt: skip
    again = settings(tiny_whisper, train, tmp_path / "c", init_from=str(folder), **common)
    assert torch.equal(read_weights(run(again))["codebook"], read_weights(folder)["codebook"])


def test_contrastive_pretraining_runs(tmp_path: Path) -> None:
    backbone = pretrained(tmp_path / "model")
    train = without_text(write_corpus(tmp_path / "train", ("swh",)))
    over = {
        "objective": "contrastive",
        "contrastive": {"quantizer": "trained", "negatives": 10, "mask_span": 4},
        "data": {"train": [str(train)], "dev": [str(train)]},
    }
    with pytest.raises(ValueError, match="cache_prefix: false"):
        settings(backbone, train, tmp_path / "run", **over)
    dev = without_text(write_corpus(tmp_path / "dev", ("yor",), copies=1))
    over["data"] = {"train": [str(train)], "dev": [str(dev)]}
    training = {"cache_prefix": False, "steps": 30, "eval_every": 15, "learning_rate": 1e-2}
    folder = run(settings(backbone, train, tmp_path / "run", training=training, **over))
    history = losses(tmp_path / "run")
    assert history[-1] < history[0]
    state = json.loads((tmp_path / "run" / "checkpoint-30" / "trainer_state.json").read_text())
    logged = [entry for entry in state["log_history"] if "code_perplexity" in entry]
    assert logged and logged[-1]["temperature"] < 2.0
    assert any(name.startswith("quantizer.") for name in read_weights(folder))


def test_text_is_missed_where_it_is_needed(tiny_whisper: Path, tmp_path: Path) -> None:
    train = without_text(write_corpus(tmp_path / "train", ("swh",)))
    with pytest.raises(ManifestError, match="missing text"):
        run(settings(tiny_whisper, train, tmp_path / "a"))


def test_settings_that_do_not_go_together(tiny_whisper: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    for over, said in (
        ({"source": {"kind": "none"}}, "none has none"),
        ({"training": {"augment": {"telephone": 0.5}, "cache_prefix": False}}, "leave"),
    ):
        with pytest.raises((ValueError, ConfigError), match=said):
            settings(tiny_whisper, manifest, tmp_path / "r", objective="best-rq", **over)


def test_refine_without_text(tiny_whisper: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    build_model(tiny_whisper, kind="two-stage", bottleneck=8).save_pretrained(checkpoint)
    manifest = without_text(write_corpus(tmp_path / "speech", ("swh",), copies=3))
    output = tmp_path / "swh"
    arguments = ["refine", "--lang", "swh", "--manifest", str(manifest), "-o", str(output)]
    options = ["--checkpoint", str(checkpoint), "--objective", "best-rq", "--steps", "12"]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    assert "dev loss" in result.output
    facts = json.loads((output / "adapter.json").read_text())
    assert facts["objective"] == "best-rq"
    assert facts["dev_loss_after"] < facts["dev_loss_before"]
    weights, _ = AdapterWeights.load(output / "adapter.safetensors")
    before = AdaptedModel.from_pretrained(checkpoint).source(["swh"])
    assert not torch.equal(weights.up, before.up)


def test_the_head_learns_alone_first(tiny_whisper: Path) -> None:
    model = predictor(tiny_whisper)
    model.head_first = 2
    learning = []
    for step in range(4):
        model.at_step(step)
        learning.append(model.source.up.requires_grad)
    assert learning == [False, False, True, True]
