"""``madg-speech transcribe``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from madg_speech.audio import duration
from madg_speech.errors import AudioError, ConfigError, PartialFailure
from madg_speech.transcript import Failure, Transcript
from madg_speech.worklist import find_work, is_done, write_transcript
from madg_speech.writers import WRITERS, Format

if TYPE_CHECKING:
    from madg_speech.conditioning import Conditioning
    from madg_speech.decoding.path import Decoder
    from madg_speech.transcribe import Transcriber

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
    script; with --lexicon it is in native script. wav, flac, ogg, mp3, m4a, webm, mp4; any sampling
    rate, channel count and length. Several files on standard output: one line each,
    `path TAB text`, or one JSON object a line. With -o, files done before are skipped.
    """
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(line: str) -> None:
        if not quiet:
            stderr.print(line, markup=False)

    with _piped(audio) as (paths, pipe):
        work = find_work(paths).shard(shard)
        total = len(work.files) + len(work.missing)
        folder = None if output == STREAM else output
        if folder is None and (form is Format.all or (total > 1 and form not in _LINES)):
            raise ConfigError(f"--format {form} of several texts needs a folder: -o DIR")
        targets = work.targets(folder, form) if folder else {}
        done = [] if overwrite else [file for file, at in targets.items() if is_done(at)]
        files = [file for file in work.files if file not in done]
        if done:
            say(f"{len(done)} of {total} files done before: skipped (--overwrite does them again)")
        failed = [*work.missing]
        if files:
            from madg_speech.conditioning import refined_from
            from madg_speech.transcribe import load

            if checkpoint is None:
                checkpoint = refined_from(adapter) if adapter else "default"
            transcriber = load(checkpoint, backbone, device)
            languages = _conditionings(
                transcriber, lang, say, adapter_from=adapter_from, vector=vector, adapter=adapter
            )
            decoder = _decoder(transcriber, languages, lexicon, lm, lm_weight, word_score, say)
            with _progress(files, start or 0.0, end, stderr, hidden=quiet) as (advance, show):
                for result in transcriber.transcribe_many(
                    files,
                    languages or "auto",
                    decoder=decoder,
                    start=start or 0.0,
                    end=end,
                    vad=not no_vad,
                    on_progress=advance,
                ):
                    if isinstance(result, Failure):
                        failed.append(result.error)
                        continue
                    if result.scores:
                        say(_choice(result))
                    if folder:
                        write_transcript(result, targets[result.source])
                    else:
                        shown = STREAM if result.source == pipe else result.source
                        show(_line(replace(result, source=shown), form, total > 1))
        _report(failed, total, stderr)


_LINES = (Format.txt, Format.json)  # formats that several files can share


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


def _conditionings(
    transcriber: Transcriber, langs: list[str], say: Callable[[str], None], **chosen: object
) -> list[Conditioning]:
    """Adapters to use, each with its line of advice; none for auto."""
    from madg_speech.advice import advise

    ways = [name for name, value in chosen.items() if value is not None]
    if ways and (len(langs) > 1 or langs == ["auto"]):
        raise ConfigError(
            f"--{ways[0].replace('_', '-')} goes with one --lang, not several or auto"
        )
    if "auto" in langs:
        if len(langs) > 1:
            raise ConfigError("--lang auto stands alone: it chooses among all Whisper supports")
        say("auto: Whisper, without adapters, names the language, of the about 99 it supports")
        return []
    found = []
    for lang in langs:
        found.append(transcriber.condition(lang, notify=say, **chosen))  # type: ignore[arg-type]
        say(advise(found[-1], transcriber.model.spec))
    return found


def _decoder(
    transcriber: Transcriber,
    languages: list[Conditioning],
    lexicon: Path | None,
    lm: Path | None,
    lm_weight: float,
    word_score: float,
    say: Callable[[str], None],
) -> Decoder | None:
    if lexicon is None:
        if lm is not None:
            raise ConfigError(f"--lm {lm} scores words: give the words too (--lexicon FILE)")
        return None
    if len(languages) != 1:
        raise ConfigError("--lexicon is of one language: give one --lang, not several or auto")
    from madg_speech.decoding.beam import LexiconDecoder
    from madg_speech.decoding.lexicon import read_lexicon

    vocabulary = transcriber.model.vocabulary
    words = read_lexicon(lexicon, vocabulary, languages[0].label)
    if words.unspelt:
        say(
            f"{lexicon}: {len(words.unspelt)} entries have no letters and are left out "
            f"({', '.join(words.unspelt[:3])})"
        )
    return LexiconDecoder(words, vocabulary, lm, lm_weight=lm_weight, word_score=word_score)


def _choice(transcript: Transcript) -> str:
    best = ", ".join(f"{lang} {score:.3f}" for lang, score in list(transcript.scores.items())[:5])
    return f"{transcript.source}: heard as {transcript.language} ({best})"


def _line(transcript: Transcript, form: Format, several: bool) -> str:
    if several and form is Format.txt:
        return f"{transcript.source}\t{transcript.text}\n"
    return WRITERS[form](transcript)


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
    files: Iterable[Path], start: float, end: float | None, stderr: Console, hidden: bool
) -> Iterator[tuple[Callable[[float], None] | None, Callable[[str], None]]]:
    """A bar over seconds of audio on a terminal; yields how to advance it, and how to print."""
    if hidden or not stderr.is_terminal:
        yield None, partial(typer.echo, nl=False)
        return
    from rich.progress import Progress

    # Standard output may be the same terminal: the bar makes way for each line.
    with Progress(console=stderr, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("transcribing", total=sum(_seconds(file, start, end) for file in files))

        def show(text: str) -> None:
            bar.stop()
            typer.echo(text, nl=False)
            bar.start()

        yield partial(bar.advance, task), show


def _seconds(file: Path, start: float, end: float | None) -> float:
    try:
        return max(min(duration(file), end or float("inf")) - start, 0.0)
    except (AudioError, OSError):
        return 0.0  # said properly when its turn comes
