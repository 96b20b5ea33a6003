"""``madg-speech evaluate-task``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("evaluate-task")
def evaluate_task(
    data: Annotated[Path, typer.Option(help="Folder of <iso>/<split>.conllu or .txt.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for predictions, results.json and .md.")
    ],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="Of `train-task`; repeatable. None: score what lies in OUTPUT again."),
    ] = None,
    adapter_from: Annotated[
        list[str] | None,
        typer.Option(
            help="generated, none, nearest, mean, a language for all, or refined:FOLDER; repeatable. "
            "As the task was learned when left out."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    langs: Annotated[str, typer.Option(help="Only these languages, by commas.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many sentences a language.")
    ] = None,
    cache_limit_gb: Annotated[
        float,
        typer.Option(
            min=0, help="Refuse a larger cache of the layers below the adapters; 0 for no cache."
        ),
    ] = 20.0,
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples; 0 for no intervals.")] = 1000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
) -> None:
    """Score POS taggers, entity taggers or parsers zero-shot: per language, per group, compared.

    A run that was cut off goes on where it stopped. The first system made is the one that the others
    are compared with.
    """
    from madg_speech.evaluation.zero_shot import load_systems, run_zero_shot
    from madg_speech.evaluation.zero_shot_results import TABLES, summarise
    from madg_speech.languages import resolve

    languages = [resolve(code).iso for code in langs.replace(",", " ").split()] or None
    for path in checkpoint or []:
        systems = load_systems(path, adapter_from or [], device)
        run_zero_shot(systems, data, output, split, languages, limit, cache_limit_gb)
    summarise(output, bootstrap)
    typer.echo((output / TABLES).read_text(encoding="utf-8"))
