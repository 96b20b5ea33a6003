"""A run that is killed, wherever, and resumed ends with the weights of an unbroken one."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from madg_speech.config.speech import PretrainConfig
from madg_speech.errors import ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.training.pretrain import pretrain
from madg_speech.training.run import open_run
from madg_speech.training.speech_trainer import SpeechTrainer
from madg_speech.training.trainer import MARKER
from tests.speech import write_corpus

STEPS = 40


class Killed(BaseException):
    """Stands for SIGKILL: nothing in between may catch it."""


@pytest.fixture(scope="module")
def settings(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Dropout and masks on, so that a lost random state shows; dev scores, so that one is best."""
    folder = tmp_path_factory.mktemp("speech")
    train = write_corpus(folder / "train", ("swh", "yor"))
    dev = write_corpus(folder / "dev", ("deu",), copies=1)
    return {
        "backbone": {"name": str(tiny_whisper)},
        "source": {"kind": "two-stage", "bottleneck": 8, "embedding_size": 4},
        "data": {"train": [str(train)], "dev": [str(dev)]},
        "training": {
            "steps": STEPS,
            "seconds_per_batch": 4,
            "warmup_steps": 2,
            "eval_every": 4,
            "learning_rate": 3e-3,
            "mask_time": 0.2,
        },
    }


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run(settings: dict[str, object], folder: Path, resume: bool = False) -> None:
    config = PretrainConfig.model_validate(settings | {"output": str(folder)})
    pretrain(config, Path("/"), device="cpu", resume=resume)


@pytest.fixture(scope="module")
def unbroken(settings: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    torch.set_num_threads(1)
    run(settings, folder)
    return folder


def assert_same(folder: Path, unbroken: Path) -> None:
    """The finished model, and the last step's weights, which need not be the finished ones."""
    for name in ("checkpoint", f"checkpoint-{STEPS}"):
        ours = load_file(folder / name / "model.safetensors")
        theirs = load_file(unbroken / name / "model.safetensors")
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            torch.testing.assert_close(value, theirs[key], rtol=0, atol=1e-6, msg=f"{name} {key}")


def test_killed_at_random(
    settings: dict[str, object], unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "run"
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings | {"output": str(folder)}))
    command = [sys.executable, "-m", "madg_speech", "pretrain", "--device", "cpu", "--config"]
    command += [str(tmp_path / "run.yaml")]
    chance = random.Random(0)
    reached = []
    for attempt in range(3):
        process = subprocess.Popen([*command, *(["--resume"] if attempt else [])])
        wait_for_progress(process, folder, chance.randint(0, 2))
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.wait()
        reached.append(newest(folder))
    assert reached[0] < STEPS, "the first kill came too late to test anything"
    subprocess.run([*command, "--resume"], check=True)
    assert_same(folder, unbroken)


def newest(folder: Path) -> int:
    return max((int(p.name.split("-")[1]) for p in folder.glob("checkpoint-*")), default=0)


def wait_for_progress(process: subprocess.Popen[bytes], folder: Path, checkpoints: int) -> None:
    """Until the run is described and so many checkpoint folders more have appeared."""
    before = newest(folder)
    until = time.monotonic() + 300  # a busy machine takes a minute to import everything
    while process.poll() is None and time.monotonic() < until:
        if (folder / "run.json").exists() and newest(folder) >= before + 4 * checkpoints:
            return
        time.sleep(0.005)


def in_the_middle_of(owner: object, name: str, call: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Die at the given call of a function, before it has done anything."""

    def arm(monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(owner, name)
        calls = 0

        def die(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                raise Killed
            return whole(*arguments, **named)

        monkeypatch.setattr(owner, name, die)

    return arm


def half_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Die while an old checkpoint is being removed."""

    whole = shutil.rmtree

    def delete_some(folder: Path, **named: bool) -> None:
        if not folder.name.startswith("checkpoint-"):
            return whole(folder, **named)
        (folder / "optimizer.pt").unlink()
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", delete_some)


@pytest.mark.parametrize(
    "die",
    [
        pytest.param(
            in_the_middle_of(SpeechTrainer, "training_step", 2), id="before any checkpoint"
        ),
        pytest.param(
            in_the_middle_of(SpeechTrainer, "_save_optimizer_and_scheduler", 3),
            id="half a checkpoint",
        ),
        pytest.param(in_the_middle_of(SpeechTrainer, "_prune", 4), id="marked, not pruned"),
        pytest.param(half_deleted, id="half an old checkpoint deleted"),
        pytest.param(
            in_the_middle_of(SpeechTrainer, "load_best", 1), id="after the last checkpoint"
        ),
        pytest.param(in_the_middle_of(AdaptedModel, "save_pretrained", 1), id="before the model"),
    ],
)
def test_killed_at_the_worst_moment(
    settings: dict[str, object],
    unbroken: Path,
    tmp_path: Path,
    die: Callable[[pytest.MonkeyPatch], None],
) -> None:
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        die(patch)
        run(settings, folder)
    assert not (folder / "checkpoint").exists()
    run(settings, folder, resume=True)
    assert_same(folder, unbroken)
    assert all((path / MARKER).exists() for path in folder.glob("checkpoint-*"))


def test_patience_survives_a_kill(settings: dict[str, object], tmp_path: Path) -> None:
    training = dict(settings["training"]) | {"patience": 2, "eval_every": 1, "learning_rate": 1e-12}  # type: ignore[call-overload]
    config = settings | {"training": training}
    run(config, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        in_the_middle_of(SpeechTrainer, "load_best", 1)(patch)
        run(config, tmp_path / "killed")
    run(config, tmp_path / "killed", resume=True)
    assert newest(tmp_path / "whole") == newest(tmp_path / "killed") == 3


def test_a_kill_before_the_run_is_described_is_no_obstacle(
    settings: dict[str, object], tmp_path: Path
) -> None:
    config = PretrainConfig.model_validate(settings | {"output": str(tmp_path / "run")})
    assert open_run(tmp_path / "run", config, resume=False) is None
    assert open_run(tmp_path / "run", config, resume=True) is None


@pytest.mark.parametrize("split", ["train", "dev"])
def test_changed_data_is_named(settings: dict[str, object], tmp_path: Path, split: str) -> None:
    data = {
        "train": [str(write_corpus(tmp_path / "train", ("swh",)))],
        "dev": [str(write_corpus(tmp_path / "dev", ("deu",)))],
    }
    training = dict(settings["training"]) | {"steps": 1}  # type: ignore[call-overload]
    config = settings | {"data": data, "training": training}
    run(config, tmp_path / "run")
    manifest = Path(data[split][0])
    manifest.write_text("\n".join(manifest.read_text().splitlines()[1:]))
    with pytest.raises(ConfigError, match=f"the {split} manifests or their audio"):
        run(config, tmp_path / "run", resume=True)


def test_a_run_is_resumed_over_copied_data(settings: dict[str, object], tmp_path: Path) -> None:
    data = {"train": ["train/m.jsonl"], "dev": ["dev/m.jsonl"]}
    write_corpus(tmp_path / "here" / "train", ("swh",))
    write_corpus(tmp_path / "here" / "dev", ("deu",))
    training = dict(settings["training"]) | {"steps": 1}  # type: ignore[call-overload]
    config = PretrainConfig.model_validate(
        settings | {"data": data, "training": training, "output": str(tmp_path / "run")}
    )
    pretrain(config, tmp_path / "here", device="cpu")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    pretrain(config, tmp_path / "there", device="cpu", resume=True)
    audio = tmp_path / "there" / "train" / "swh-1.wav"
    audio.write_bytes(audio.with_name("swh-0.wav").read_bytes())
    with pytest.raises(ConfigError, match="the train manifests or their audio"):
        pretrain(config, tmp_path / "there", device="cpu", resume=True)
