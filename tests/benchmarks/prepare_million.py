"""Time and peak memory of ``prepare`` on a generated Common Voice tree.

    python tests/benchmarks/prepare_million.py [UTTERANCES] [JOBS]

A million clips are names for a few hundred files (hard links): what is read of them, how many rows
pass, and what must be remembered is as in a corpus of a million files; the disk is not filled.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from madg_speech.data_prep.pipeline import Options, prepare

LINKS = 30_000  # of one file; file systems allow some 65,000


def make_tree(root: Path, utterances: int) -> None:
    """``root/xx/clips`` and train.tsv with texts, 20,000 speakers."""
    clips = root / "sw" / "clips"
    clips.mkdir(parents=True)
    wave = np.random.default_rng(0).normal(0, 0.05, 48_000)
    with (root / "sw" / "train.tsv").open("w") as table:
        table.write("client_id\tpath\tsentence\tlocale\n")
        for number in range(utterances):
            source = root / f"{number // LINKS}.flac"
            if number % LINKS == 0:
                soundfile.write(source, wave, 16_000)
            clip = clips / f"common_voice_sw_{number:08d}.flac"
            clip.hardlink_to(source)
            text = f"sentensi ya namba {number} kwa ajili ya kipimo"
            table.write(f"speaker{number % 20_000}\t{clip.name}\t{text}\tsw\n")


def main() -> None:
    """Print one line a pass: the first, and the second, which finds all of it done."""
    utterances = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        make_tree(Path(folder, "cv"), utterances)
        print(f"{utterances} utterances made in {time.perf_counter() - start:.0f} s", flush=True)
        for name in ("first pass", "again"):
            start, cpu = time.perf_counter(), time.process_time()
            summary = prepare(
                "common-voice", Path(folder, "cv"), Path(folder, "out"), Options(jobs=jobs)
            )
            peaks = [
                resource.getrusage(who).ru_maxrss / 1024
                for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ]
            print(
                f"{name}: {sum(p.utterances for p in summary.parts.values())} written in "
                f"{time.perf_counter() - start:.0f} s (own CPU {time.process_time() - cpu:.0f} s), peak "
                f"{peaks[0]:.0f} MB here, {peaks[1]:.0f} MB in the largest worker",
                flush=True,
            )


if __name__ == "__main__":
    main()
