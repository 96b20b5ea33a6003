"""``madg-speech prepare CORPUS``: one subcommand a corpus, each writes manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from madg_speech.data_prep.corpora import CORPORA
from madg_speech.data_prep.text_corpora import TEXT_CORPORA

if TYPE_CHECKING:
    from madg_speech.data_prep.pipeline import Summary
    from madg_speech.data_prep.text_corpora import TextSummary

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for audio and manifests.")]


@app.callback()
def _prepare() -> None:
    """Make manifests from a corpus (or synthetic speech from eSpeak NG)."""


@app.command()
def espeak(
    out: Out,
    langs: Annotated[str, typer.Option(help="Codes or names, comma-separated.")] = "",
    exclude: Annotated[str, typer.Option(help="Codes or names to leave out.")] = "",
    per_language: Annotated[int, typer.Option(min=1, help="Training utterances a language.")] = 100,
    test: Annotated[int, typer.Option(min=0, help="Held-out utterances a language.")] = 0,
    text_dir: Annotated[
        Path | None, typer.Option(help="Folder of <iso>.txt, a sentence a line; else CLDR.")
    ] = None,
    territories: Annotated[bool, typer.Option(help="Territory names among CLDR text.")] = True,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    include_constructed: Annotated[
        bool, typer.Option(help="Also constructed, reconstructed and vectorless languages.")
    ] = False,
) -> None:
    """Speak sentences in about a hundred languages with eSpeak NG; made offline, resumable."""
    from madg_speech.data_prep.espeak import Recipe, prepare_espeak

    report = prepare_espeak(
        out,
        Recipe(per_language, test, text_dir, territories, seed),
        langs=_split(langs),
        exclude=_split(exclude),
        include_constructed=include_constructed,
        jobs=jobs,
    )
    table = Table("language", "train", "test", "minutes", title=report.engine)
    for iso, row in report.languages.items():
        counts = (f"{row['train']:.0f}", f"{row['test']:.0f}", f"{row['seconds'] / 60:.1f}")
        table.add_row(iso, *counts)
    console = Console()
    console.print(table)
    for iso, reason in report.skipped.items():
        console.print(f"skipped {iso}: {reason}", markup=False)
    for note in report.notes:
        Console(stderr=True).print(f"note: {note}", markup=False)
    hours = sum(row["seconds"] for row in report.languages.values()) / 3600
    spoken = sum(row["train"] + row["test"] for row in report.languages.values())
    console.print(f"{len(report.languages)} languages, {spoken:.0f} utterances, {hours:.2f} hours")


@app.command("csv")
def table(
    file: Annotated[Path, typer.Argument(help="csv or tsv with a header line; audio beside it.")],
    out: Out,
    lang: Annotated[str | None, typer.Option(help="Language of every row.")] = None,
    lang_column: Annotated[str | None, typer.Option(help="Or the column that says it.")] = None,
    audio_column: Annotated[str | None, typer.Option(help="Default: audio, path, file...")] = None,
    text_column: Annotated[str | None, typer.Option(help="Default: text, sentence...")] = None,
    speaker_column: Annotated[str | None, typer.Option(help="Default: speaker...")] = None,
    dev: Annotated[float, typer.Option(help="Share held out, by speaker where known.")] = 0.1,
) -> None:
    """Your own recordings: a folder of audio files and a csv or tsv of what is said in them."""
    from madg_speech.data_prep.table import Columns, prepare_table

    columns = Columns(audio_column, text_column, lang_column, speaker_column)
    report = prepare_table(file, out, lang, columns, dev)
    for rejected in report.rejected:
        Console(stderr=True).print(f"left out: {rejected}", markup=False, soft_wrap=True)
    minutes = report.seconds / 60
    typer.echo(
        f"{report.train} train, {report.dev} dev, {minutes:.1f} minutes, "
        f"{len(report.rejected)} rows left out -> {out}"
    )


def _add_corpus(name: str, text: str) -> None:
    @app.command(name, help=text)
    def command(
        path: Annotated[Path, typer.Argument(help="The corpus: its folder, or an archive of it.")],
        out: Out,
        langs: Annotated[str, typer.Option(help="Only these; codes or names, by commas.")] = "",
        splits: Annotated[str, typer.Option(help="Only these, or unusual ones; by commas.")] = "",
        lang: Annotated[
            str | None, typer.Option(help="Language, where the corpus does not say.")
        ] = None,
        dev: Annotated[
            float, typer.Option(help="Share held out where there are no splits, by speaker.")
        ] = 0.05,
        license: Annotated[
            str | None, typer.Option(help="Written into every line without one of its own.")
        ] = None,
        jobs: Annotated[
            int | None, typer.Option(min=1, help="Processes; default: one a core.")
        ] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Look again at audio found usable before.")
        ] = False,
    ) -> None:
        from madg_speech.data_prep.pipeline import Options, prepare

        chosen = tuple(_split(langs) or ()), tuple(_split(splits) or ())
        _print(prepare(name, path, out, Options(lang, *chosen, dev, license, jobs, fresh)), out)


for _name, _corpus in CORPORA.items():
    _add_corpus(_name, _corpus.help)


def _add_text_corpus(name: str, text: str) -> None:
    @app.command(name, help=text)
    def command(
        path: Annotated[Path, typer.Argument(help="The corpus: a folder, a file or an archive.")],
        out: Out,
        langs: Annotated[str, typer.Option(help="Only these; codes or names, by commas.")] = "",
        lang: Annotated[
            str | None, typer.Option(help="Language of a file that does not say its own.")
        ] = None,
    ) -> None:
        from madg_speech.data_prep.text_corpora import prepare_text

        _print_text(prepare_text(name, path, out, tuple(_split(langs) or ()), lang), out)


for _name, _text_corpus in TEXT_CORPORA.items():
    _add_text_corpus(_name, _text_corpus.help)


def _print_text(summary: TextSummary, out: Path) -> None:
    table = Table("language", "split", "sentences", "words", "from", "licence")
    for (iso, split), (sentences, words) in sorted(summary.parts.items()):
        origin = ", ".join(summary.sources[iso]), ", ".join(summary.licenses[iso])
        table.add_row(iso, split or "-", str(sentences), str(words), *origin)
    Console().print(table)
    _print_skipped(summary, out)
    count = sum(sentences for sentences, _ in summary.parts.values())
    typer.echo(f"{len({iso for iso, _ in summary.parts})} languages, {count} sentences -> {out}")


def _print_skipped(summary: Summary | TextSummary, out: Path) -> None:
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    for note in summary.notes:
        stderr.print(f"note: {note}", markup=False)
    skipped = sum(count for count, _ in summary.skipped.values())
    if skipped:
        stderr.print(f"left out: {skipped}, all named in {out / 'skipped.tsv'}", markup=False)
        stderr.print(summary.reasons(), markup=False)


def _print(summary: Summary, out: Path) -> None:
    table = Table("language", "split", "utterances", "hours", "speakers")
    for (iso, split), part in sorted(summary.parts.items()):
        hours = f"{part.seconds / 3600:.2f}"
        table.add_row(iso, split, str(part.utterances), hours, str(part.speakers or "-"))
    Console().print(table)
    _print_skipped(summary, out)
    parts = summary.parts.values()
    count, hours = sum(p.utterances for p in parts), sum(p.seconds for p in parts) / 3600
    languages = len({iso for iso, _ in summary.parts})
    typer.echo(f"{languages} languages, {count} utterances, {hours:.2f} hours -> {out}")


def _split(codes: str) -> list[str] | None:
    return [code for code in codes.replace(",", " ").split() if code] or None
