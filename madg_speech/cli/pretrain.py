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
    init_typology_from: Annotated[
        Path | None,
        typer.Option(help="Checkpoint, of text or speech, whose map from vectors is the start."),
    ] = None,
    freeze_typology: Annotated[
        bool, typer.Option("--freeze-typology", help="That map is not trained further.")
    ] = False,
) -> None:
    """Train a weight source and a head over many languages; the backbone stays frozen.

    Speech with transcripts (CTC), or text where the configuration says `objective: mlm`, or both with
    one map from vectors where it says `objective: joint`.

    The finished checkpoint is OUTPUT/checkpoint: give it to `transcribe --checkpoint`. Several
    GPUs: `accelerate launch --num_processes 2 -m madg_speech pretrain --config ...`; on CPUs
    `torchrun --nproc_per_node 2 -m ...`.
    """
    from madg_speech.config.files import find_config, load_config, objective_of
    from madg_speech.config.speech import PretrainConfig

    overrides: dict[str, object] = {"output": str(output)} if output else {}
    if init_typology_from:
        overrides["init_typology_from"] = str(init_typology_from)
    if freeze_typology:
        overrides["freeze_typology"] = True
    found, root = find_config(config), data_root or Path(os.curdir)
    objective = objective_of(found)
    if objective == "distil":
        from madg_speech.training.distil import DistilConfig, distil

        finished = distil(load_config(found, DistilConfig, overrides), root, device, resume).folder
    elif objective == "mlm":
        from madg_speech.config.text import MlmConfig
        from madg_speech.training.mlm import pretrain_text

        finished = pretrain_text(load_config(found, MlmConfig, overrides), root, device, resume)
    elif objective == "joint":
        from madg_speech.config.joint import JointConfig
        from madg_speech.training.joint import pretrain_joint

        finished = pretrain_joint(load_config(found, JointConfig, overrides), root, device, resume)
    else:
        from madg_speech.training.pretrain import pretrain as run

        finished = run(load_config(found, PretrainConfig, overrides), root, device, resume)
    typer.echo(f"checkpoint: {finished}")
