"""``madg-speech build-lexicon``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def build_lexicon(
    text: Annotated[list[Path], typer.Argument(help="Plain text, UTF-8.", metavar="TEXT...")],
    lang: Annotated[str, typer.Option("-l", "--lang", help="Its language: code or name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")],
    max_words: Annotated[int, typer.Option(min=1, help="Most frequent words kept.")] = 100_000,
    order: Annotated[int, typer.Option(min=2, max=6, help="Longest n-gram.")] = 3,
) -> None:
    """Make lexicon.txt and lm.arpa from running text, for `transcribe --lexicon --lm`."""
    from madg_speech.decoding.lexicon_text import LEXICON, MODEL
    from madg_speech.decoding.lexicon_text import build_lexicon as build
    from madg_speech.languages import resolve

    language = resolve(lang, lambda note: typer.echo(note, err=True))
    report = build(text, output, max_words=max_words, order=order)
    ngrams = ", ".join(f"{count} {n}-grams" for n, count in enumerate(report.ngrams, start=1))
    typer.echo(
        f"{language.name}: {report.words} words ({report.left_out} rarer ones left out), {ngrams} "
        f"of {report.sentences} sentences\nuse: madg-speech transcribe AUDIO --lang {language.iso} "
        f"--lexicon {output / LEXICON} --lm {output / MODEL}"
    )
