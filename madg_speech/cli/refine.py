"""``madg-speech refine``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


class Objective(StrEnum):
    """What is minimised."""

    ctc = "ctc"
    best_rq = "best-rq"


class Tune(StrEnum):
    """What is tuned."""

    adapter = "adapter"
    embedding = "lambda"


class Start(StrEnum):
    """Where tuning begins."""

    generated = "generated"
    static = "static"
    random = "random"


@app.command()
def refine(
    lang: Annotated[str, typer.Option(help="Code or name; what the manifest's lang field says.")],
    manifest: Annotated[
        list[Path],
        typer.Option(help="Audio, 1 to 60 minutes, transcribed for ctc; may be repeated."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new adapter.")],
    checkpoint: Annotated[str, typer.Option(help="`default` or a folder.")] = "default",
    dev: Annotated[
        Path | None,
        typer.Option(help="Manifest for early stopping; a tenth of the sentences when left out."),
    ] = None,
    tune: Annotated[
        Tune, typer.Option(help="The whole adapter, or only the few numbers of λ.")
    ] = Tune.adapter,
    start: Annotated[
        Start, typer.Option(help="From the language's vector, what all languages share, or noise.")
    ] = Start.generated,
    objective: Annotated[
        Objective, typer.Option(help="ctc; or best-rq, masked prediction, on audio without text.")
    ] = Objective.ctc,
    steps: Annotated[int, typer.Option(min=1, help="At most so many steps.")] = 300,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak; 0.001 for the adapter, 0.01 for λ.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Batches, masks, random start.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last complete checkpoint.")
    ] = False,
) -> None:
    """Tune one language's adapter on minutes of audio (MAD-G-ft).

    Backbone and head stay frozen. The result is for `transcribe --adapter OUTPUT`. `--tune lambda`
    also works for a language that URIEL lacks: it starts at the mean of the trained languages.
    """
    from madg_speech.training.refine import RefineConfig
    from madg_speech.training.refine import refine as run

    config = RefineConfig(
        checkpoint=checkpoint if checkpoint == "default" else str(Path(checkpoint).resolve()),
        language=lang,
        manifests=tuple(str(path.resolve()) for path in manifest),
        dev=str(dev.resolve()) if dev else None,
        tune=tune.value,
        start=start.value,
        objective=objective.value,
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
    )
    refined = run(config, output, device, resume)
    typer.echo(f"dev {refined.metric} {refined.before:.3f} -> {refined.after:.3f}")
    typer.echo(f"adapter: {refined.folder}")
