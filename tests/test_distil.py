import re
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from madg_speech.cli import app
from madg_speech.config.speech import PretrainConfig
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.training.distil import DistilConfig, distil
from madg_speech.training.distil_trainer import DistilTrainer
from madg_speech.training.pretrain import pretrain
from tests.conftest import LANGUAGES, build_model
from tests.speech import WORDS, write_corpus
from tests.test_resume import Killed, in_the_middle_of

TAUGHT = tuple(WORDS)


@pytest.fixture
def teacher(tiny_whisper: Path, tmp_path: Path) -> Path:
    """One random adapter each for four languages."""
    model = build_model(tiny_whisper, kind="per-language", unseen={"rule": "error"}, layers=[2, 3])
    model.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def settings(teacher: Path, output: Path, **over: object) -> dict[str, object]:
    return {
        "objective": "distil",
        "teacher": str(teacher),
        "source": {"kind": "madg", "embedding_size": 8},
        "training": {"steps": 300, "learning_rate": 0.03, "warmup_steps": 10, "weight_decay": 0},
        "output": str(output),
    } | over


def gap(a: AdaptedModel, b: AdaptedModel) -> float:
    """How far apart the two are on a recording in Swahili, in nats."""
    wave = torch.randn(8000, generator=torch.manual_seed(0)).numpy() * 0.1
    said = [model.log_probs([wave], ["swh"])[0] for model in (a, b)]
    return float((said[0] - said[1]).abs().mean())


@pytest.mark.parametrize("kind", ["madg", "madg-ls", "two-stage"])
def test_generated_weights_become_the_teacher_s(teacher: Path, tmp_path: Path, kind: str) -> None:
    source = {"kind": kind, "embedding_size": 8, "feature_dropout": 0, "vector_dropout": 0}
    source |= {"per_layer": True} if kind == "two-stage" else {"layer_embedding_size": 8}
    config = DistilConfig.model_validate(settings(teacher, tmp_path / "run", source=source))
    done = distil(config, tmp_path, "cpu")
    # one table for all layers cannot hold what differs by layer and language at once
    assert done.after < (0.5 if kind == "madg-ls" else 0.1) * done.before
    taught, student = (AdaptedModel.from_pretrained(f) for f in (teacher, done.folder))
    assert student.spec.languages == LANGUAGES
    assert torch.equal(student.head.weight, taught.head.weight)
    begun = build_model(Path(taught.spec.backbone.name), kind=kind, layers=[2, 3])
    begun.head.load_state_dict(taught.head.state_dict())
    assert gap(student, taught) < (0.8 if kind == "madg-ls" else 0.3) * gap(begun, taught)
    assert "distilled" in student.card


def test_adapters_trained_here_are_distilled_by_their_outputs(
    tiny_whisper: Path, tmp_path: Path
) -> None:
    manifest = write_corpus(tmp_path / "speech", TAUGHT, copies=1)
    run = {
        "backbone": {"name": str(tiny_whisper)},
        "source": {"kind": "per-language", "bottleneck": 8, "unseen": {"rule": "error"}},
        "data": {"train": [str(manifest)]},
        "training": {"steps": 25, "learning_rate": 0.03, "warmup_steps": 2, "seconds_per_batch": 5},
        "output": str(tmp_path / "taught"),
    }
    pretrain(PretrainConfig.model_validate(run), tmp_path, "cpu")
    teacher = tmp_path / "taught" / "checkpoint"
    over = {
        "match": "outputs",
        "data": {"train": [str(manifest)]},
        "training": {"steps": 60, "learning_rate": 0.03, "warmup_steps": 5, "seconds_per_batch": 5},
    }
    file = tmp_path / "distil.yaml"
    file.write_text(yaml.safe_dump(settings(teacher, tmp_path / "run", **over)))
    result = CliRunner().invoke(app, ["pretrain", "--config", str(file), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    taught, student = (
        AdaptedModel.from_pretrained(f) for f in (teacher, tmp_path / "run" / "checkpoint")
    )
    before, after = re.findall(r"([0-9.]+) before,\s([0-9.]+) after", student.card)[0]
    assert float(after) < 0.5 * float(before)
    assert student.spec.source.kind == "madg"
    assert not torch.equal(student.source(["swh"]).up, taught.source(["swh"]).up)


def test_languages_held_out_are_scored_apart(teacher: Path, tmp_path: Path) -> None:
    over = {"exclude_languages": ["fin"]}
    config = DistilConfig.model_validate(settings(teacher, tmp_path / "run", **over))
    done = distil(config, tmp_path, "cpu")
    assert "fin" not in AdaptedModel.from_pretrained(done.folder).spec.languages
    # the teacher's adapters are random: nothing about fin can be learned from the others
    assert done.after < 0.1 and done.held_out is not None and done.held_out > 0.5


def test_what_cannot_teach_is_named(teacher: Path, tiny_whisper: Path, tmp_path: Path) -> None:
    build_model(tiny_whisper, kind="static").save_pretrained(tmp_path / "static")
    wrong = [
        ({"teacher": str(tmp_path / "static")}, CheckpointError, "static source"),
        ({"exclude_languages": ["deu", "fin", "swh", "yor"]}, ConfigError, "at least one"),
        ({"exclude_languages": ["wol"]}, ConfigError, "wol"),
    ]
    for place, (over, error, message) in enumerate(wrong):
        values = settings(teacher, tmp_path / str(place)) | over
        with pytest.raises(error, match=message):
            distil(DistilConfig.model_validate(values), tmp_path, "cpu")
    with pytest.raises(ValueError, match=r"data\.train"):
        DistilConfig.model_validate(settings(teacher, tmp_path / "x", match="outputs"))


@pytest.mark.parametrize("match", ["weights", "outputs"])
def test_a_killed_lesson_is_resumed(
    teacher: Path, tmp_path: Path, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_corpus(tmp_path / "speech", TAUGHT, copies=1)
    training = {"steps": 6, "warmup_steps": 2, "seconds_per_batch": 3, "eval_every": 2}
    over = {"match": match, "data": {"train": [str(manifest)]}, "training": training}
    over["source"] = {"kind": "two-stage", "embedding_size": 4}

    def lesson(name: str) -> DistilConfig:
        return DistilConfig.model_validate(settings(teacher, tmp_path / name, **over))

    whole = AdaptedModel.from_pretrained(distil(lesson("whole"), tmp_path, "cpu").folder)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        in_the_middle_of(DistilTrainer, "training_step", 4)(patch)
        distil(lesson("killed"), tmp_path, "cpu")
    assert not (tmp_path / "killed" / "checkpoint").exists()
    done = distil(lesson("killed"), tmp_path, "cpu", resume=True)
    resumed = AdaptedModel.from_pretrained(done.folder)
    for name, value in whole.trainable_state().items():
        torch.testing.assert_close(resumed.trainable_state()[name], value, rtol=0, atol=1e-6)
