"""Two processes see what one sees with twice the accumulation, and end with the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from madg_speech.config.speech import PretrainConfig
from madg_speech.training.pretrain import pretrain
from tests.speech import write_corpus

STEPS = 6


def history(folder: Path, key: str) -> list[float]:
    state = json.loads((folder / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    return [entry[key] for entry in state["log_history"] if key in entry]


def test_two_processes_equal_one(tiny_whisper: Path, tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train", ("swh", "yor"))
    dev = write_corpus(tmp_path / "dev", ("deu",), copies=1)
    source = {"kind": "two-stage", "bottleneck": 8, "embedding_size": 4}
    settings = {
        "backbone": {"name": str(tiny_whisper)},
        "source": source | {"feature_dropout": 0, "vector_dropout": 0},
        "data": {"train": [str(train)], "dev": [str(dev)]},
    }
    training = {
        "steps": STEPS,
        "seconds_per_batch": 3,
        "warmup_steps": 1,
        "eval_every": 1,
        "mask_time": 0,
    }
    two = settings | {"output": str(tmp_path / "two"), "training": training}
    one = settings | {
        "output": str(tmp_path / "one"),
        "training": training | {"gradient_accumulation": 2},
    }
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(two))
    # accelerate launch starts one process where there is no GPU, whatever --num_processes says
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    launch += ["-m", "madg_speech", "pretrain", "--device", "cpu"]
    finished = subprocess.run(
        [*launch, "--config", str(tmp_path / "two.yaml")],
        # a cache of their own: both processes come to an empty one
        env=os.environ | {"OMP_NUM_THREADS": "1", "MADG_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("train: 16 utterances") == 1
    pretrain(PretrainConfig.model_validate(one), Path("/"), device="cpu")
    for key in ("loss", "eval_cer"):
        assert history(tmp_path / "two", key) == pytest.approx(
            history(tmp_path / "one", key), abs=1e-4
        )
    ours, theirs = (
        load_file(tmp_path / n / "checkpoint" / "model.safetensors") for n in ("one", "two")
    )
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5, msg=name)
