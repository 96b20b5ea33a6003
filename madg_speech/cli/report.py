"""``madg-speech report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def report(
    results: Annotated[
        list[Path], typer.Argument(help="results.json files, or folders that `evaluate` filled.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for index.html and report.md.")
    ],
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Evaluation",
    baseline: Annotated[
        str | None,
        typer.Option(
            help="System that gains are measured against; the strongest other one when left out."
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Utterances quoted at most, for each of RESULTS.")
    ] = 20,
    quote_non_commercial: Annotated[
        bool,
        typer.Option(
            "--quote-non-commercial",
            help="Quote also references whose licence forbids commercial use.",
        ),
    ] = False,
    audio: Annotated[
        str,
        typer.Option(
            help="Recordings of quoted utterances: link (where they are), embed, or none."
        ),
    ] = "link",
) -> None:
    """Draw results as one HTML page that needs no network, and as Markdown with the same tables."""
    from typing import get_args

    from madg_speech.errors import ConfigError
    from madg_speech.evaluation.report.page import Audio
    from madg_speech.evaluation.report.write import write_report

    if audio not in get_args(Audio):
        raise ConfigError(f"--audio {audio!r}: expected {', '.join(get_args(Audio))}")
    written = write_report(
        results,
        output,
        title=title,
        baseline=baseline,
        worst=worst,
        non_commercial=quote_non_commercial,
        audio=audio,  # type: ignore[arg-type]
    )
    for path in written:
        typer.echo(path)
