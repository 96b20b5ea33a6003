"""Task runs from treebank to scores: with and without a cache, killed and resumed, on damaged files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from madg_speech.checkpoint import ModelConfig
from madg_speech.cli import app
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.errors import DataError
from madg_speech.sources import build_source
from madg_speech.tasks.model import TaskModel
from madg_speech.text_model import TextModel
from madg_speech.training.tasks import TaskRunConfig, train_task
from tests.test_pretrain import losses
from tests.test_resume import Killed, assert_same, in_the_middle_of, wait_for_progress
from tests.tiny import text_folder
from tests.treebank import sentence, write_treebank

LANGUAGES = ("eng", "fin")
STEPS = 40
A, B = "1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_\n", "2\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of language adapters in the upper two of four layers; no mask token is needed."""
    folder = tmp_path_factory.mktemp("language")
    bare = TextModel.from_backbone(str(text_folder(folder / "bert", mask=False)))
    kind = SourceConfig(kind="madg-ls", layers=(2, 3), bottleneck=4, embedding_size=8)
    spec = ModelConfig(
        objective="mlm",
        backbone=BackboneConfig(name=str(folder / "bert")),
        hidden_size=32,
        layers=4,
        source=kind,
        languages=("eng", "fin", "wol"),
    )
    source = build_source(kind, 32, 4, spec.languages)
    assert source is not None
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    TextModel(bare.backbone, source, spec).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_treebank(tmp_path_factory.mktemp("ud"), LANGUAGES)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def settings(adapters: Path, data: Path, output: Path, **training: object) -> dict[str, object]:
    asked = {"steps": STEPS, "sentences_per_batch": 4, "warmup_steps": 2, "eval_every": 4}
    return {
        "task": "parse",
        "checkpoint": str(adapters),
        "bottleneck": 4,
        "data": {"folder": str(data), "sources": list(LANGUAGES)},
        "training": asked | {"learning_rate": 1e-2} | training,
        "output": str(output),
    }


def run(asked: dict[str, object], resume: bool = False) -> Path:
    return train_task(TaskRunConfig.model_validate(asked), Path("/"), "cpu", resume)


@pytest.fixture(scope="module")
def unbroken(adapters: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    torch.set_num_threads(1)
    run(settings(adapters, data, folder))
    return folder


def test_a_cached_run_has_the_losses_of_an_uncached_one(
    adapters: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # slow learning: at a high rate any rounding grows from step to step
    few: dict[str, object] = {"steps": 24, "learning_rate": 2e-3}
    run(settings(adapters, data, tmp_path / "plain", cache_prefix=False, **few))
    run(settings(adapters, data, tmp_path / "cached", **few))
    plain, cached = losses(tmp_path / "plain"), losses(tmp_path / "cached")
    assert len(plain) == len(cached) == 6 and plain[-1] < 0.7 * plain[0]
    torch.testing.assert_close(torch.tensor(cached), torch.tensor(plain), atol=2e-3, rtol=2e-3)
    # what the first run computed, another one with the same backbone reads
    prefix: list[int] = []
    monkeypatch.setattr(
        "madg_speech.text_model.AdaptedEncoder.prefix", lambda *given: prefix.append(1)
    )
    run(settings(adapters, data, tmp_path / "again", steps=2))
    assert not prefix


def test_killed_at_random_and_resumed(
    adapters: Path, data: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder, file = tmp_path / "run", tmp_path / "run.yaml"
    asked = settings(adapters, data, folder)
    file.write_text(yaml.safe_dump(asked))
    command = [sys.executable, "-m", "madg_speech", "train-task", "--device", "cpu"]
    process = subprocess.Popen([*command, "--config", str(file)])
    wait_for_progress(process, folder, random.randint(0, 4))
    time.sleep(random.uniform(0, 0.05))
    process.kill()
    process.wait()
    assert not (folder / "checkpoint").exists(), "the kill came too late to test anything"
    run(asked, resume=True)
    assert_same(folder, unbroken)


def test_killed_before_the_model_is_written(
    adapters: Path, data: Path, unbroken: Path, tmp_path: Path
) -> None:
    asked = settings(adapters, data, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        in_the_middle_of(TaskModel, "save_pretrained", 1)(patch)
        run(asked)
    assert not (tmp_path / "run" / "checkpoint").exists()
    run(asked, resume=True)
    assert_same(tmp_path / "run", unbroken)


DAMAGE = {
    "cycle": sentence("the", "cat", "sat")
    .replace("\t3\tdet", "\t2\tdet")
    .replace("\t3\tn", "\t1\tn"),
    "0 roots": (A + B + "\n").replace("\t0\troot", "\t1\tdep"),
    "head '9' outside the sentence": (A + B + "\n").replace("\t2\tdet", "\t9\tdet"),
    "relation 'subject' outside the inventory": (A + B + "\n").replace("\tdet", "\tsubject"),
    "10 tab-separated columns": A.replace("\t_\t_\n", "\n") + B + "\n",
}


def test_damaged_trees_are_counted_and_named_from_training_to_scores(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_treebank(tmp_path / "ud", LANGUAGES, "".join(DAMAGE.values()))
    (data / "wol").mkdir()
    (data / "wol" / "test.conllu").write_text(DAMAGE["cycle"])
    folder = run(settings(adapters, data, tmp_path / "run", steps=2, eval_every=2))
    told = capsys.readouterr().err
    assert "train: 24 sentences" in told and "2 x tree with a cycle (first: " in told
    listed = [json.loads(line) for line in (tmp_path / "run" / "left_out.jsonl").open()]
    described = json.loads((tmp_path / "run" / "run.json").read_text())["left_out"]
    for split in ("train", "dev"):
        assert sum(described[split].values()) == len(LANGUAGES) * len(DAMAGE)
        for reason in DAMAGE:
            (full,) = [known for known in described[split] if reason in known]
            found = [e["id"] for e in listed if e["split"] == split and e["reason"] == full]
            assert len(found) == len(LANGUAGES)
            assert all(f"{split}.conllu:" in place for place in found)
    arguments = ["--checkpoint", str(folder), "--data", str(data), "-o", str(tmp_path / "scores")]
    result = CliRunner().invoke(app, ["evaluate-task", *arguments, "--bootstrap", "0"])
    assert result.exit_code == 0, result.output
    assert "nothing usable in wol; left out: 3 x tree with a cycle" in result.output
    results = json.loads((tmp_path / "scores" / "results.json").read_text())
    (problems,) = results["problems"].values()
    assert [len(problems[iso]["left_out"]) for iso in ("eng", "fin", "wol")] == [5, 5, 1]
    assert problems["wol"]["failed"] == "no usable sentence"
    table = (tmp_path / "scores" / "results.md").read_text()
    assert "| eng | 5 sentences left out, first: eng/test.conllu:" in table
    assert "| wol | not scored by run.generated: no usable sentence |" in table


def test_tags_outside_the_inventory_are_counted_and_named(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_treebank(tmp_path / "ud", LANGUAGES, (A + B + "\n").replace("NOUN", "N"))
    asked = settings(adapters, data, tmp_path / "run", steps=1) | {"task": "pos"}
    run(asked)
    assert "left out: 2 x UPOS 'N' outside the inventory (first: " in capsys.readouterr().err
    (data / "eng" / "train.conllu").write_text((A + B + "\n").replace("NOUN", "N"))
    with pytest.raises(DataError, match=r"no sentence for pos in it: 1 x UPOS 'N' .*conllu:2"):
        run(asked | {"output": str(tmp_path / "other")})


def test_what_is_longer_than_the_model_is_read_in_parts_and_named(
    adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "{}\t{}\t_\tNOUN\t_\t_\t{}\t_\t_\t_\n"
    long = "".join(row.format(n, "cat", n - 1) for n in range(1, 41)) + "\n"
    wide = row.format(1, "z/" * 40, 0) + "\n"
    data = write_treebank(tmp_path / "ud", LANGUAGES, long + wide)
    asked = settings(adapters, data, tmp_path / "run", steps=2, eval_every=2) | {"task": "pos"}
    folder = run(asked)
    told = capsys.readouterr().err
    assert "train: 2 sentences are read in several windows (first: " in told
    assert "train: of 2 words only the beginning is read (first: " in told
    scores = tmp_path / "scores"
    arguments = ["--checkpoint", str(folder), "--data", str(data), "-o", str(scores)]
    result = CliRunner().invoke(app, ["evaluate-task", *arguments, "--bootstrap", "0"])
    assert result.exit_code == 0, result.output
    (file,) = scores.glob("*/eng.json")
    counted = json.loads(file.read_text())
    assert counted["words"] == 4 * 3 + 40 + 1, "every word has a tag"
    assert counted["read_in_windows"] == ["eng/test.conllu:17"]
    assert counted["words_cut"] == [f"eng/test.conllu:58: {'z/' * 20}..."]
    arguments = ["--checkpoint", str(folder), "--task", "pos", "--lang", "eng"]
    result = CliRunner().invoke(app, ["predict", *arguments, "the cat " * 20, "z" * 80])
    assert result.exit_code == 0, result.output
    assert "text 1 is longer than the model takes" in result.output
    assert "text 2: only the beginning of zzz" in result.output
    assert result.stdout.count("\n") == 40 + 1 + 1 + 1
