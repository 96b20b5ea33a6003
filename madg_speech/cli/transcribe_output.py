"""What ``madg-speech transcribe`` prints: texts, a progress bar, and in the end what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from madg_speech.audio import duration
from madg_speech.errors import AudioError, PartialFailure
from madg_speech.transcript import Transcript
from madg_speech.writers import WRITERS, Format

SHARED = (Format.txt, Format.json)  # formats in which several files can follow each other


def format_line(transcript: Transcript, form: Format, several: bool) -> str:
    """A transcript as it goes to standard output."""
    if several and form is Format.txt:
        return f"{transcript.source}\t{transcript.text}\n"
    return WRITERS[form](transcript)


def describe_choice(transcript: Transcript) -> str:
    """Which language was heard, and how the others scored."""
    best = ", ".join(f"{lang} {score:.3f}" for lang, score in list(transcript.scores.items())[:5])
    return f"{transcript.source}: heard as {transcript.language} ({best})"


def report_failures(failed: list[AudioError], total: int, stderr: Console) -> None:
    """Say what failed, and raise what decides the exit status; nothing if nothing failed."""
    if not failed:
        return
    if total == 1:
        raise failed[0]
    for error in failed:
        stderr.print(f"error: {error}", markup=False)
    if len(failed) == total:
        raise AudioError(f"none of the {total} files could be transcribed")
    raise PartialFailure(f"{len(failed)} of {total} files failed; the others are done")


@contextmanager
def show_progress(
    total: Callable[[], float], stderr: Console, hidden: bool
) -> Iterator[tuple[Callable[[float], None], Callable[[str], None]]]:
    """A bar on a terminal; yields how to advance it, and how to print to standard output.

    Args:
        total: asked for only where there is a bar.
        stderr: where the bar is drawn.
        hidden: no bar.
    """
    if hidden or not stderr.is_terminal:
        yield (lambda done: None), partial(typer.echo, nl=False)
        return
    from rich.progress import Progress

    # Standard output may be the same terminal: the bar makes way for each line.
    with Progress(console=stderr, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("transcribing", total=total())

        def show(text: str) -> None:
            bar.stop()
            typer.echo(text, nl=False)
            bar.start()

        yield partial(bar.advance, task), show


def count_seconds(files: Iterable[Path], start: float, end: float | None) -> float:
    """Audio to be transcribed."""
    return sum(_seconds(file, start, end) for file in files)


def _seconds(file: Path, start: float, end: float | None) -> float:
    try:
        return max(min(duration(file), end or float("inf")) - start, 0.0)
    except (AudioError, OSError):
        return 0.0  # said properly when its turn comes
