"""``madg-speech pretrain``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def pretrain(
    config: Annotated[
        Path,
        typer.Option(help="YAML file; see recipes/. `recipes/...` is also found in the wheel."),
    ],
    data_root: Annotated[
        Path | None,
        typer.Option(envvar="MADG_DATA", help="Where relative manifest paths start."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last complete checkpoint.")
    ] = False,
) -> None:
    """Train a weight source and a CTC head over many languages; the backbone stays frozen.

    The finished checkpoint is OUTPUT/checkpoint: give it to `transcribe --checkpoint`. Several
    GPUs: `accelerate launch --num_processes 2 -m madg_speech pretrain --config ...`; on CPUs
    `torchrun --nproc_per_node 2 -m ...`.
    """
    from madg_speech.config import PretrainConfig, find_config, load_config, objective_of
    from madg_speech.errors import ConfigError

    overrides = {"output": str(output)} if output else None
    found, root = find_config(config), data_root or Path(os.curdir)
    if objective_of(found) == "distil":
        from madg_speech.training.distil import DistilConfig, distil

        if resume:
            raise ConfigError("objective distil starts anew: leave --resume out")
        finished = distil(load_config(found, DistilConfig, overrides), root, device).folder
    else:
        from madg_speech.training.pretrain import pretrain as run

        finished = run(load_config(found, PretrainConfig, overrides), root, device, resume)
    typer.echo(f"checkpoint: {finished}")
