"""How much memory and time does `transcribe` take on hours of audio? Peak resident size of the process.

    python -m tests.benchmarks.long_audio --data-root DATA [--hours 1 3] [--keep FOLDER]

DATA holds speech/<iso>/*.jsonl: recordings of all its languages, in turn, joined into one FLAC file of each
length, go to all formats. Each run is a process of its own. Goal: under 1.5 GB, however long the file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import soundfile

from madg_speech.audio import SAMPLE_RATE, load_audio
from madg_speech.data.manifest import read_manifest
from tests.benchmarks.measure import Result, machine

GOAL = 1.5  # GB
PAUSE = np.zeros(SAMPLE_RATE // 2, np.float32)


def recordings(data: Path, languages: str = "*") -> Iterator[Path]:
    """Files of all languages in turn, so that no language stands alone at an end."""
    manifests = sorted(data.glob(f"speech/{languages}/*.jsonl"))
    rows = [[row.audio for row in read_manifest(path)] for path in manifests]
    return (path for path in chain.from_iterable(zip_longest(*rows)) if path is not None)


def join(files: Iterator[Path], target: Path, hours: float) -> None:
    """Write recordings, half a second apart, until ``hours`` are full."""
    wanted = round(hours * 3600 * SAMPLE_RATE)
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, 1, "PCM_16") as out:
        while wanted > 0:
            piece = np.concatenate([load_audio(next(files)), PAUSE])[:wanted]
            out.write(piece)
            wanted -= len(piece)


def run(audio: Path, output: Path, options: list[str]) -> tuple[float, float]:
    """Wall seconds and peak gigabytes of `transcribe` to all formats."""
    command = [sys.executable, "-m", "madg_speech", "transcribe", str(audio), "--lang", "swh"]
    started = time.perf_counter()
    child = os.spawnv(
        os.P_NOWAIT, sys.executable, [*command, "-q", "-f", "all", "-o", str(output), *options]
    )
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"transcribe failed with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9  # Linux counts KiB


def measure(data: Path, hours: list[float], folder: Path, options: list[str]) -> Iterator[Result]:
    for length in hours:
        audio = folder / f"{length:g}h.flac"
        if not audio.exists():
            join(recordings(data), audio, length)
        seconds, peak = run(audio, folder / f"{length:g}h", [*options, "--overwrite"])
        sizes = {
            kind: (folder / f"{length:g}h" / f"{length:g}h.{kind}").stat().st_size // 1000
            for kind in ("srt", "json")
        }
        written = ", ".join(f"{kind} of {size} kB" for kind, size in sizes.items())
        yield Result(
            f"peak memory of transcribing {length:g} h of real recordings",
            peak,
            "GB",
            GOAL,
            f"{seconds:.0f} s, {seconds / length:.0f} s an hour of audio; {written}",
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--keep", type=Path, help="Folder for audio and transcripts, kept.")
    arguments, options = parser.parse_known_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        for result in measure(arguments.data_root, arguments.hours, kept, options):
            print("  |  ".join(result.cells), flush=True)


if __name__ == "__main__":
    main()
