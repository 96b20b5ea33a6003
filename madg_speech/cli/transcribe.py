"""``madg-speech transcribe``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from madg_speech.audio import duration, find_audio
from madg_speech.cache import atomic_path
from madg_speech.errors import AudioError, ConfigError, PartialFailure
from madg_speech.writers import WRITERS, Format

if TYPE_CHECKING:
    from madg_speech.transcribe import Transcript

app = typer.Typer(add_completion=False)


@app.command()
def transcribe(
    audio: Annotated[
        list[Path],
        typer.Argument(help="Audio or video files; folders are searched.", metavar="AUDIO..."),
    ],
    lang: Annotated[
        str, typer.Option("-l", "--lang", help="What is spoken: code (swh, sw) or name (Swahili).")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write to; else standard output."),
    ] = None,
    form: Annotated[Format, typer.Option("-f", "--format", help="Output format.")] = Format.txt,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="`default` or a folder; what ADAPTER was refined from when left out."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Folder or hub id in place of the checkpoint's backbone.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    adapter_from: Annotated[
        str | None,
        typer.Option(
            metavar="LANG|none", help="Another language's adapter, or none: for comparison."
        ),
    ] = None,
    vector: Annotated[
        Path | None,
        typer.Option(
            help="Typological vector of your own: 289 numbers, URIEL's order. LANG is a label."
        ),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="Folder with a refined adapter. LANG is a label.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="No line on what to expect, no progress.")
    ] = False,
) -> None:
    """Transcribe recordings in any URIEL language, trained on or not.

    The text is romanised: Latin letters a to z, apostrophe and space, whatever the language's own
    script. wav, flac, ogg, mp3, m4a, webm, mp4; any sampling rate, channel count and length.
    Several files on standard output: one line each, `path TAB text`, or one JSON object a line.
    """
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    files, failed = _find(audio)
    total = len(files) + len(failed)
    targets = _targets(files, output, form) if output else {}
    if not files:
        _report(failed, total, stderr)

    from madg_speech.advice import advise
    from madg_speech.conditioning import refined_from
    from madg_speech.transcribe import Failure, load

    def say(line: str) -> None:
        if not quiet:
            stderr.print(line, markup=False)

    if checkpoint is None:
        checkpoint = refined_from(adapter) if adapter else "default"
    transcriber = load(checkpoint, backbone, device)
    conditioning = transcriber.condition(
        lang, adapter_from=adapter_from, vector=vector, adapter=adapter, notify=say
    )
    say(advise(conditioning, transcriber.model.spec))
    with _progress(files, stderr, hidden=quiet) as (advance, show):
        for result in transcriber.transcribe_many(files, conditioning, on_progress=advance):
            if isinstance(result, Failure):
                failed.append(result.error)
            elif output:
                with atomic_path(targets[result.source]) as draft:
                    draft.write_text(WRITERS[form](result), encoding="utf-8")
            else:
                show(_line(result, form, total > 1))
    _report(failed, total, stderr)


def _find(paths: list[Path]) -> tuple[dict[Path, Path], list[AudioError]]:
    """Files in the order given, each with its name relative to the folder it was found in."""
    files: dict[Path, Path] = {}
    missing = []
    for path in paths:
        try:
            found = find_audio([path])
        except AudioError as error:
            missing.append(error)
            continue
        for file in found:
            files.setdefault(file, file.relative_to(path) if path.is_dir() else Path(file.name))
    return files, missing


def _targets(files: dict[Path, Path], output: Path, form: Format) -> dict[Path, Path]:
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output} is a file; expected a folder")
    targets: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    for file, name in files.items():
        target = output / name.with_suffix(f".{form}")
        if target in owners:
            raise ConfigError(
                f"{owners[target]} and {file} would both be written to {target}: rename one, or "
                "transcribe them apart"
            )
        owners[target] = file
        targets[file] = target
    return targets


def _line(transcript: Transcript, form: Format, several: bool) -> str:
    text = WRITERS[form](transcript)
    return f"{transcript.source}\t{text}" if several and form is Format.txt else text


def _report(failed: list[AudioError], total: int, stderr: Console) -> None:
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
def _progress(
    files: Iterable[Path], stderr: Console, hidden: bool
) -> Iterator[tuple[Callable[[float], None] | None, Callable[[str], None]]]:
    """A bar over seconds of audio on a terminal; yields how to advance it, and how to print."""
    if hidden or not stderr.is_terminal:
        yield None, partial(typer.echo, nl=False)
        return
    from rich.progress import Progress

    # Standard output may be the same terminal: the bar makes way for each line.
    with Progress(console=stderr, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("transcribing", total=sum(map(_seconds, files)))

        def show(text: str) -> None:
            bar.stop()
            typer.echo(text, nl=False)
            bar.start()

        yield partial(bar.advance, task), show


def _seconds(file: Path) -> float:
    try:
        return duration(file)
    except (AudioError, OSError):
        return 0.0  # said properly when its turn comes
