"""MAD-G-ft on text: one language's adapter tuned on its sentences, and scored under a task adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from madg_speech.adapters import AdapterWeights
from madg_speech.checkpoint import ModelConfig
from madg_speech.cli import app
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.errors import CheckpointError, ConfigError, DataError, UnknownLanguageError
from madg_speech.sources import build_source
from madg_speech.text_model import MaskedTokenHead, TextModel
from madg_speech.training.monolingual import load_sentences
from madg_speech.training.refine_text import TextRefineConfig, refine_text
from madg_speech.training.refinement import Refined
from madg_speech.training.speech_trainer import SpeechTrainer
from madg_speech.training.tasks import TaskRunConfig, train_task
from tests.conftest import build_model
from tests.test_resume import Killed, in_the_middle_of
from tests.tiny import text_folder
from tests.treebank import write_treebank

LINES = [
    f"the {a} sat on {b} {c}" for a in ("cat", "mat") for b in ("the", "a") for c in ("mat", "cat")
]
LINES += [f"{a} on {b}" for a in ("cat", "mat", "sat") for b in ("cat", "mat", "the")]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def save_checkpoint(folder: Path, head: bool = True) -> Path:
    """Two-stage adapters, away from zero, and a head that knows each piece of ``LINES`` but mat."""
    bare = TextModel.from_backbone(str(text_folder(folder / "bert", head=False)))
    kind = SourceConfig(kind="two-stage", layers=(2, 3), bottleneck=4, embedding_size=8)
    spec = ModelConfig(
        objective="mlm",
        backbone=BackboneConfig(name=str(folder / "bert")),
        hidden_size=32,
        layers=4,
        source=kind,
        languages=("eng", "fin", "yor"),
    )
    source = build_source(kind, 32, 4, spec.languages)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    windows = bare.backbone.tokenizer([line.replace("mat", "") for line in LINES])
    pieces = sorted({piece for (window,) in windows for piece in window[1:-1]})
    masked = MaskedTokenHead(bare.backbone.word_embeddings, torch.tensor(pieces)) if head else None
    TextModel(bare.backbone, source, spec, masked).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_checkpoint(tmp_path_factory.mktemp("text"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "news.txt"  # named by no language
    file.write_text("\n".join(LINES) + "\n")
    return file


def run(
    checkpoint: Path, text: Path, output: Path, resume: bool = False, **over: object
) -> Refined:
    settings = {"language": "wol", "steps": 3} | over
    config = TextRefineConfig(checkpoint=str(checkpoint), texts=(str(text),), **settings)
    return refine_text(config, output, "cpu", resume)


def test_an_adapter_is_tuned_and_only_it_and_tasks_are_scored_with_it(
    checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    stored = (checkpoint / "model.safetensors").read_bytes()
    output = tmp_path / "refined" / "wol"
    arguments = ["refine", "--checkpoint", str(checkpoint), "--lang", "Wolof", "--text", str(text)]
    options = ["-o", str(output), "--steps", "60", "--learning-rate", "0.02", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    assert (checkpoint / "model.safetensors").read_bytes() == stored
    facts = json.loads((output / "adapter.json").read_text())
    assert set(facts) == {
        "checkpoint", "language", "tune", "start", "pieces", "objective", "metric", "dev_loss_before",
        "dev_loss_after",
    }  # fmt: skip
    assert (facts["language"], facts["start"], facts["objective"]) == ("wol", "generated", "mlm")
    assert facts["dev_loss_after"] < facts["dev_loss_before"]
    weights, languages = AdapterWeights.load(output / "adapter.safetensors")
    model = TextModel.from_pretrained(checkpoint)
    assert languages == ["wol"] and weights.shape == model.source.shape
    assert not torch.equal(weights.up, model.source(["wol"]).up)

    data = write_treebank(tmp_path / "ud", ("eng", "fin", "wol"))
    asked = {
        "task": "pos",
        "checkpoint": str(checkpoint),
        "bottleneck": 4,
        "data": {"folder": str(data), "sources": ["eng"]},
        "training": {"steps": 10, "sentences_per_batch": 4, "eval_every": 5},
        "output": str(tmp_path / "pos"),
    }
    trained = train_task(TaskRunConfig.model_validate(asked), Path("/"), "cpu")
    rules = [f"--adapter-from={rule}" for rule in ("generated", f"refined:{tmp_path / 'refined'}")]
    scores = ["--data", str(data), "-o", str(tmp_path / "scores"), "--bootstrap", "0"]
    options = ["--checkpoint", str(trained), *rules, *scores, "--device", "cpu"]
    result = CliRunner().invoke(app, ["evaluate-task", *options])
    assert result.exit_code == 0, result.output
    generated, refined = sorted(p for p in (tmp_path / "scores").iterdir() if p.is_dir())
    assert {p.stem for p in generated.glob("???.json")} == {"eng", "fin", "wol"}
    assert [p.stem for p in refined.glob("???.json")] == ["wol"]
    options = ["--task", "pos", "--checkpoint", str(trained), rules[1], "the cat sat", "--lang"]
    result = CliRunner().invoke(app, ["predict", *options, "wol"])
    assert result.exit_code == 0 and result.stdout.startswith("the\t")
    error = CliRunner().invoke(app, ["predict", *options, "fin"]).exception
    assert isinstance(error, CheckpointError) and "no adapter of fin there, only of wol" in str(
        error
    )


def test_a_killed_refinement_ends_where_an_unbroken_one_does(
    checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    settings = {"steps": 50, "learning_rate": 0.02}
    whole = run(checkpoint, text, tmp_path / "whole", **settings)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        in_the_middle_of(SpeechTrainer, "training_step", 31)(patch)
        run(checkpoint, text, tmp_path / "broken", **settings)
    assert not (tmp_path / "broken" / "adapter.json").exists()
    resumed = run(checkpoint, text, tmp_path / "broken", resume=True, **settings)
    assert (resumed.before, resumed.after) == pytest.approx((whole.before, whole.after))
    ours, theirs = (
        AdapterWeights.load(tmp_path / name / "adapter.safetensors")[0]
        for name in ("broken", "whole")
    )
    torch.testing.assert_close(ours.up, theirs.up, rtol=0, atol=1e-6)
    again = run(checkpoint, text, tmp_path / "broken", resume=True, **settings)
    assert again.after == pytest.approx(whole.after, abs=1e-4)
    with pytest.raises(ConfigError, match="another seed"):
        run(checkpoint, text, tmp_path / "broken", resume=True, seed=1, **settings)


def test_the_start_is_kept_where_nothing_beats_it(
    checkpoint: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refined = run(checkpoint, text, tmp_path / "wol", learning_rate=30.0)
    assert refined.after == refined.before
    assert "the start is kept" in capsys.readouterr().err
    weights, _ = AdapterWeights.load(tmp_path / "wol" / "adapter.safetensors")
    generated = TextModel.from_pretrained(checkpoint).source(["wol"])
    torch.testing.assert_close(weights.down, generated.down)


def test_lambda_is_tuned_also_for_a_language_without_vector(
    checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownLanguageError, match="--tune lambda"):
        run(checkpoint, text, tmp_path / "a", language="qaa")
    run(checkpoint, text, tmp_path / "b", language="qaa", tune="lambda")
    facts = json.loads((tmp_path / "b" / "adapter.json").read_text())
    assert (facts["language"], facts["tune"], facts["start"]) == ("qaa", "lambda", "static")


def test_sentences_are_held_out_by_themselves_and_what_is_not_used_is_named(
    checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    model = TextModel.from_pretrained(checkpoint)
    assert model.head is not None
    tokenizer, known = model.backbone.tokenizer, model.head.tokens.numpy()

    def split(file: Path, dev: Path | None = None) -> tuple[set[str], set[str]]:
        parts = load_sentences([file], dev, "wol", tokenizer, known)
        sides = [{str(pieces) for pieces in part.table["pieces"]} for part in parts]
        return sides[0], sides[1]

    train, dev = split(text)
    assert len(train) == 15 and len(dev) == 2 and not train & dev
    moved = tmp_path / "moved.txt"
    moved.write_text("\n".join(reversed(LINES)))
    assert split(moved) == (train, dev)
    moved.write_bytes(
        "\n".join([*LINES[:6], LINES[0], "mat mat", "\u200b", ""]).encode() + b"\xff\n"
    )
    scored = tmp_path / "dev.txt"
    scored.write_text("\n".join(LINES[4:8]))
    corpus, other = load_sentences([moved], scored, "wol", tokenizer, known)
    assert len(corpus.table) == 4 and len(other.table) == 4
    assert {
        reason: sorted(Path(p).name for p in found) for reason, found in corpus.left_out.items()
    } == {
        "repeated lines": ["moved.txt:7"],
        "lines that are not UTF-8": ["moved.txt:10"],
        "lines that stand in --dev too": ["moved.txt:5", "moved.txt:6"],
        "lines that the tokenizer makes nothing of": ["moved.txt:9"],
        "windows without a piece that the checkpoint's head knows": ["moved.txt:8"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"no sentence to learn from in .*news\.txt \(nothing but blank lines\)"),
        ("mat mat\nmat\n", "2 windows without a piece that the checkpoint's head knows"),
        ("the cat sat\nthe cat sat\n", "1 usable sentence: too few to hold any out"),
        ('{"id": "a", "audio": "a.wav"}\n', r"news\.txt:1: a line of a JSONL manifest"),
    ],
)
def test_texts_of_no_use_are_named(
    checkpoint: Path, text: Path, tmp_path: Path, content: str, message: str
) -> None:
    text.write_text(content)
    with pytest.raises(DataError, match=message):
        run(checkpoint, text, tmp_path / "wol")


def test_what_the_checkpoint_does_not_learn_from_is_named(
    checkpoint: Path, text: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        run(checkpoint, tmp_path / "none.txt", tmp_path / "a")
    headless = save_checkpoint(tmp_path / "headless", head=False)
    with pytest.raises(CheckpointError, match="no masked-token head"):
        run(headless, text, tmp_path / "b")
    speech = tmp_path / "speech"
    build_model(tiny_whisper, kind="static", bottleneck=16).save_pretrained(speech)

    def invoke(folder: Path, *options: str) -> BaseException | None:
        arguments = ["--lang", "wol", "-o", str(tmp_path / "c"), "--checkpoint", str(folder)]
        return CliRunner().invoke(app, ["refine", *arguments, *options]).exception

    for folder, option, expected in [
        (checkpoint, ("--manifest", str(text)), "is one of text; give --text FILE"),
        (speech, ("--text", str(text)), "is one of speech; give --manifest FILE"),
        (checkpoint, (), "is one of text: give --text FILE"),
        (speech, (), "is one of speech: give --manifest FILE"),
        (checkpoint, ("--text", str(text), "--objective", "ctc"), "is one of text, for mlm"),
        (speech, ("--manifest", str(text), "--objective", "mlm"), "for ctc or best-rq"),
    ]:
        error = invoke(folder, *option)
        assert isinstance(error, ConfigError) and expected in str(error)
    assert not (tmp_path / "c").exists()
