"""`transcribe --jobs N`: files shared among processes of this machine, each with the model in memory.

A process writes its transcripts itself, each file whole or not at all. A killed one ends the run; started
again, only what is missing is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from madg_speech.errors import MadgSpeechError
from madg_speech.request import Loaded, Request
from madg_speech.transcript import Failure
from madg_speech.worklist import write_transcript
from madg_speech.writers import Format

FILES_PER_TASK = 16  # at most: short files of like length share a batch
TASKS_PER_WORKER = 4  # at least, where there are files enough: all are done at about the same time

Targets = Mapping[Path, Mapping[Format, Path]]
_loaded: Loaded | None = None  # in a process of the pool: what it loaded for its first task


@dataclass(frozen=True)
class Outcome:
    """What became of a file: ``error`` is empty if it was transcribed."""

    source: Path
    language: str
    error: str


def transcribe_in_processes(request: Request, targets: Targets, jobs: int) -> Iterator[Outcome]:
    """Transcribe files in ``jobs`` processes that divide the cores among them.

    Yields:
        An outcome for each file, in no particular order.

    Raises:
        MadgSpeechError: an option does not fit, or a process was killed (it may have lacked memory).
    """
    request.check()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    files, size = iter(targets.items()), files_per_task(len(targets), jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        tasks = []
        while share := dict(islice(files, size)):
            tasks.append(pool.submit(_transcribe, request, share, threads))
        try:
            for task in as_completed(tasks):
                yield from task.result()
        except BrokenProcessPool:
            raise MadgSpeechError(
                f"one of {jobs} processes was killed, perhaps for its memory (about 1 GB each): what is "
                "written stays; run the same command again, with fewer --jobs"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def files_per_task(files: int, workers: int) -> int:
    """How many files a worker takes at a time."""
    return max(1, min(FILES_PER_TASK, files // (workers * TASKS_PER_WORKER)))


def transcribe_share(loaded: Loaded, targets: Targets) -> list[Outcome]:
    """Transcribe and write some files; their outcomes in the same order."""
    outcomes = []
    for source, result in zip(targets, loaded.run(list(targets)), strict=True):
        if isinstance(result, Failure):
            outcomes.append(Outcome(source, "", str(result.error)))
        else:
            write_transcript(result, targets[source])
            outcomes.append(Outcome(source, result.language, ""))
    return outcomes


def _transcribe(request: Request, targets: Targets, threads: int) -> list[Outcome]:
    global _loaded
    if _loaded is None:
        import torch

        torch.set_num_threads(threads)
        _loaded = request.load(say=lambda line: None)
    return transcribe_share(_loaded, targets)
