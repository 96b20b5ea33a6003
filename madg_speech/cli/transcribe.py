"""``madg-speech transcribe``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from madg_speech.choices import DecoderName, Precision
from madg_speech.cli.transcribe_output import (
    SHARED,
    count_seconds,
    describe_choice,
    format_line,
    report_failures,
    show_progress,
)
from madg_speech.errors import AudioError, ConfigError
from madg_speech.request import Request
from madg_speech.transcript import Failure
from madg_speech.worklist import find_work, is_done, write_transcript
from madg_speech.writers import Format

app = typer.Typer(add_completion=False)
STREAM = Path("-")  # standard input or output


def _parse_time(text: str) -> float:
    """Seconds of ``90``, ``1:30`` or ``0:01:30.5``."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(part < 0 for part in parts):
        raise typer.BadParameter(f"{text!r}: expected seconds, mm:ss or hh:mm:ss")
    return sum(part * 60.0**place for place, part in enumerate(reversed(parts)))


@app.command()
def transcribe(
    audio: Annotated[
        list[Path],
        typer.Argument(
            help="Audio or video files, folders (searched), patterns; - for standard input.",
            metavar="AUDIO...",
        ),
    ],
    lang: Annotated[
        list[str],
        typer.Option(
            "-l",
            "--lang",
            help="What is spoken: code (swh, sw) or name (Swahili). Repeated: the best-scoring one "
            "of each file. auto: what Whisper hears, of the languages Whisper supports.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write to; else standard output (-)."),
    ] = None,
    form: Annotated[Format, typer.Option("-f", "--format", help="Output format.")] = Format.txt,
    start: Annotated[
        float | None,
        typer.Option(parser=_parse_time, metavar="TIME", help="Skip to (s, mm:ss, hh:mm:ss)."),
    ] = None,
    end: Annotated[
        float | None, typer.Option(parser=_parse_time, metavar="TIME", help="Stop at.")
    ] = None,
    no_vad: Annotated[
        bool, typer.Option("--no-vad", help="Transcribe all of long audio, not only speech.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also files whose transcript is there already.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Every N-th file from the I-th: for job arrays."),
    ] = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(
            help="Words in native script, one a line, perhaps with counts: native output."
        ),
    ] = None,
    lm: Annotated[
        Path | None, typer.Option(help="n-gram model of the same words: ARPA or KenLM binary.")
    ] = None,
    lm_weight: Annotated[float, typer.Option(min=0, help="Weight of the words' scores.")] = 1.0,
    word_score: Annotated[float, typer.Option(help="Added for each word: more makes more.")] = 0.0,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="`default` or a folder; what ADAPTER was refined from when left out."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Folder or hub id in place of the checkpoint's backbone.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    precision: Annotated[
        Precision,
        typer.Option(help="int8: about twice as fast on CPUs, slightly less exact."),
    ] = "float32",
    decoder: Annotated[
        DecoderName | None,
        typer.Option(
            help="ctc, or whisper: Whisper's own text decoder, frozen, in native script. When left out, "
            "what CHECKPOINT was trained for. One trained for ctc lends whisper its encoder adapters; "
            "they were not trained for it."
        ),
    ] = None,
    prompt_temperature: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="whisper: of the mixture of language tokens that prompts for a language without one; "
            "the checkpoint's own, or 0.05, when left out.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, help="Processes that share files and cores, about 1 GB each; needs -o DIR."
        ),
    ] = 1,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="On a Ray cluster (RAY_ADDRESS), or all cores of this machine."),
    ] = False,
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
    script; with --lexicon or --decoder whisper it is in native script. wav, flac, ogg, mp3, m4a,
    webm, mp4; any sampling rate, channel count and length. Several files on standard output: one line
    each, `path TAB text`, or one JSON object a line. With -o, files done before are skipped.
    """
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(line: str) -> None:
        if not quiet:
            stderr.print(line, markup=False)

    request = Request(
        langs=tuple(lang),
        checkpoint=checkpoint,
        backbone=backbone,
        device=device,
        precision=precision,
        text_decoder=decoder,
        prompt_temperature=prompt_temperature,
        adapter_from=adapter_from,
        vector=vector,
        adapter=adapter,
        lexicon=lexicon,
        lm=lm,
        lm_weight=lm_weight,
        word_score=word_score,
        start=start or 0.0,
        end=end,
        vad=not no_vad,
    )
    with _piped(audio) as (paths, pipe):
        work = find_work(paths).shard(shard)
        total = len(work.files) + len(work.missing)
        folder = None if output == STREAM else output
        if folder is None and (form is Format.all or (total > 1 and form not in SHARED)):
            raise ConfigError(f"--format {form} of several texts needs a folder: -o DIR")
        if ray and (folder is None or pipe):
            raise ConfigError(
                "--ray reads files and writes to a folder that all machines see: -o DIR"
            )
        if jobs > 1 and (ray or folder is None or pipe):
            raise ConfigError(
                "--jobs reads files and writes to a folder (-o DIR), and goes without --ray"
            )
        targets = work.targets(folder, form) if folder else {}
        done = [] if overwrite else [file for file, at in targets.items() if is_done(at)]
        files = [file for file in work.files if file not in done]
        if done:
            say(f"{len(done)} of {total} files done before: skipped (--overwrite does them again)")
        failed = [*work.missing]
        if files and (ray or jobs > 1):
            shared = {file: targets[file] for file in files}
            failed += _in_workers(request, shared, None if ray else jobs, stderr, quiet)
        elif files:
            loaded = request.load(say)
            length = partial(count_seconds, files, request.start, end)
            with show_progress(length, stderr, hidden=quiet) as (advance, show):
                for result in loaded.run(files, advance):
                    if isinstance(result, Failure):
                        failed.append(result.error)
                        continue
                    if result.scores:
                        say(describe_choice(result))
                    if folder:
                        write_transcript(result, targets[result.source])
                    else:
                        shown = STREAM if result.source == pipe else result.source
                        show(format_line(replace(result, source=shown), form, total > 1))
        report_failures(failed, total, stderr)


def _in_workers(
    request: Request,
    targets: Mapping[Path, Mapping[Format, Path]],
    jobs: int | None,
    stderr: Console,
    quiet: bool,
) -> list[AudioError]:
    """Transcribe in processes of this machine, or on a Ray cluster where ``jobs`` is None; what failed."""
    from madg_speech.cluster import transcribe_on_ray
    from madg_speech.processes import transcribe_in_processes

    request.check()
    failed = []
    outcomes = (
        transcribe_in_processes(request, targets, jobs)
        if jobs
        else transcribe_on_ray(request, targets)
    )
    with show_progress(partial(len, targets), stderr, hidden=quiet) as (advance, _):
        for outcome in outcomes:
            advance(1)
            if outcome.error:
                failed.append(AudioError(outcome.error))
    return failed


@contextmanager
def _piped(paths: list[Path]) -> Iterator[tuple[list[Path], Path | None]]:
    """Standard input, where asked for, as a file: decoders seek, and it may not fit in memory."""
    if STREAM not in paths:
        yield paths, None
        return
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "stdin"
        with pipe.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [pipe if path == STREAM else path for path in paths], pipe
