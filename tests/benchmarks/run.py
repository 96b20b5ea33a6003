"""Runs every benchmark and writes the table: ``python -m tests.benchmarks.run -o docs/benchmarks.md``.

``--quick`` takes few rounds and small batches, for a look.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from madg_speech.cache import atomic_path
from tests.benchmarks import (
    forward,
    generate,
    log_mel,
    memory,
    mlm_step,
    sizes,
    step,
    task_step,
)
from tests.benchmarks.measure import machine

HEADER = """# Speed and memory

Ratios, each measured within one run: both sides in turn, processor time of one thread, median of the
rounds' ratios. Random weights of whisper-base's shape, or of multilingual-e5-small's for text; the task
step is e5 itself. Again:
`python -m tests.benchmarks.run -o docs/benchmarks.md` (LoRA's line needs `pip install
madg-speech[bench]`).

"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=Path, help="Markdown file to write.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        machine() + (" (quick: few rounds, small batches)" if arguments.quick else "") + ".",
        "",
    ]
    lines += ["| what | measured | goal | | details |", "|---|---|---|---|---|"]
    print(lines[0])
    for module in (forward, step, mlm_step, task_step, sizes, generate, memory, log_mel):
        for result in module.measure(arguments.quick):
            lines.append(f"| {' | '.join(result.cells)} |")
            print(lines[-1], flush=True)
    if arguments.output:
        with atomic_path(arguments.output) as draft:
            draft.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
