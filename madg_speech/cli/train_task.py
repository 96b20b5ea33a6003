"""``madg-speech train-task``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command("train-task")
def train_task(
    config: Annotated[
        Path,
        typer.Option(help="YAML file; see recipes/. `recipes/...` is also found in the wheel."),
    ],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Language adapters: a checkpoint of objective mlm.")
    ] = None,
    adapter_from: Annotated[
        str | None, typer.Option(help="While learning: generated, none, or one language for all.")
    ] = None,
    sources: Annotated[
        str, typer.Option(help="Languages to learn the task in, by commas; several: multi-source.")
    ] = "",
    data_root: Annotated[
        Path | None, typer.Option(envvar="MADG_DATA", help="Where a relative data folder starts.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last complete checkpoint.")
    ] = False,
) -> None:
    """Train POS tagging, NER or parsing: a task adapter and a head on frozen language adapters.

    The finished checkpoint is OUTPUT/checkpoint: give it to `predict` and `evaluate-task`.
    """
    from madg_speech.config.files import find_config, load_config
    from madg_speech.training.tasks import TaskRunConfig
    from madg_speech.training.tasks import train_task as run

    overrides: dict[str, Any] = {
        "checkpoint": str(checkpoint) if checkpoint else None,
        "adapter_from": adapter_from,
        "output": str(output) if output else None,
        "data": {"sources": sources.replace(",", " ").split()} if sources else None,
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    resolved = load_config(find_config(config), TaskRunConfig, given)
    finished = run(resolved, data_root or Path(os.curdir), device, resume)
    typer.echo(f"checkpoint: {finished}")
