"""How much memory does training take? Peak resident size of `pretrain` on whisper-base's shape.

Adapters in every layer, so that nothing is cached and every layer keeps its activations; 45 s of audio
a step. Run: ``python -m tests.benchmarks.memory``. Goal: under 4 GB.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import Result, main

SECONDS_PER_BATCH = 45


def measure(quick: bool) -> list[Result]:
    steps = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        # A process of its own: the peak of this one would count what other benchmarks left.
        told = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.memory", folder, str(steps)],
            env={**os.environ, "MADG_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    return [
        Result(
            "peak memory of whisper-base CTC training",
            float(told.split()[-1]),
            "GB",
            4.0,
            f"`pretrain`, two-stage, 6 layers, {SECONDS_PER_BATCH} s a step, {steps} steps",
        )
    ]


def train(folder: Path, steps: int) -> float:
    """Peak gigabytes of a run on noise, backbone loading and dev-free saving included."""
    import numpy as np
    import soundfile
    from transformers import WhisperConfig, WhisperModel

    from madg_speech.config.speech import PretrainConfig
    from madg_speech.data.manifest import Utterance, write_manifest
    from madg_speech.training.pretrain import pretrain
    from tests.benchmarks.models import ALL, BASE, LANGUAGES

    decoder = {"decoder_attention_heads": 8, "decoder_ffn_dim": 2048}
    WhisperModel(WhisperConfig(**BASE, **decoder)).save_pretrained(folder / "backbone")
    random = np.random.default_rng(0)
    rows = []
    for number, language in enumerate(LANGUAGES):
        seconds = float(random.uniform(3, 15))
        audio = folder / f"{number}.wav"
        soundfile.write(audio, 0.1 * random.standard_normal(int(seconds * 16000)), 16000)
        rows.append(Utterance(str(number), audio, "a word or two", language, seconds))
    write_manifest(folder / "m.jsonl", rows)
    config = PretrainConfig.model_validate(
        {
            "backbone": {"name": str(folder / "backbone")},
            "source": {"kind": "two-stage", "layers": ALL},
            "data": {"train": [str(folder / "m.jsonl")]},
            "training": {"steps": steps, "seconds_per_batch": SECONDS_PER_BATCH},
            "output": str(folder / "run"),
        }
    )
    pretrain(config, folder, device="cpu")
    # Not getrusage: its peak outlives exec, so it would count what the benchmark that started us held.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) * 1024 / 1e9


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(train(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        main(measure)
