"""``madg-speech refine``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


class Objective(StrEnum):
    """What is minimised."""

    ctc = "ctc"
    best_rq = "best-rq"
    mlm = "mlm"


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
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new adapter.")],
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="Audio, 1 to 60 minutes, transcribed for ctc; may be repeated."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(help="In its place, for a checkpoint of text: a sentence a line; repeatable."),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="`default` or a folder.")] = "default",
    dev: Annotated[
        Path | None,
        typer.Option(help="File for early stopping; a tenth of the sentences when left out."),
    ] = None,
    tune: Annotated[
        Tune, typer.Option(help="The whole adapter, or only the few numbers of λ.")
    ] = Tune.adapter,
    start: Annotated[
        Start, typer.Option(help="From the language's vector, what all languages share, or noise.")
    ] = Start.generated,
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="Speech: ctc, or best-rq, masked prediction, on audio without text. Text: mlm."
        ),
    ] = None,
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
    """Tune one language's adapter on minutes of audio, or on text (MAD-G-ft).

    Backbone and head stay frozen. The result is for `transcribe --adapter OUTPUT`, or, in a folder
    named by the language, for `evaluate-task --adapter-from refined:FOLDER`. `--tune lambda` also
    works for a language that URIEL lacks: it starts at the mean of the trained languages.
    """
    from madg_speech.checkpoint import checkpoint_folder, read_model_config

    folder = checkpoint_folder(checkpoint)
    reads = read_model_config(folder).objective == "mlm"
    _check(checkpoint, reads, manifest, text, objective)
    asked: dict[str, Any] = {
        "checkpoint": checkpoint if checkpoint == "default" else str(folder.resolve()),
        "language": lang,
        "dev": str(dev.resolve()) if dev else None,
        "tune": tune.value,
        "start": start.value,
        "steps": steps,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    files = tuple(str(path.resolve()) for path in text or manifest or ())
    if reads:
        from madg_speech.training.refine_text import TextRefineConfig, refine_text

        refined = refine_text(TextRefineConfig(texts=files, **asked), output, device, resume)
    else:
        from madg_speech.training.refine import RefineConfig
        from madg_speech.training.refine import refine as refine_speech

        chosen = objective.value if objective else "ctc"
        config = RefineConfig(manifests=files, objective=chosen, **asked)
        refined = refine_speech(config, output, device, resume)
    typer.echo(f"dev {refined.metric} {refined.before:.3f} -> {refined.after:.3f}")
    typer.echo(f"adapter: {refined.folder}")


def _check(
    checkpoint: str,
    reads: bool,
    manifest: list[Path] | None,
    text: list[Path] | None,
    objective: Objective | None,
) -> None:
    """ConfigError where the data or the objective are not what the checkpoint learns from."""
    from madg_speech.errors import ConfigError

    kind = "text" if reads else "speech"
    wrong, needed = ("--manifest", "--text FILE") if reads else ("--text", "--manifest FILE")
    if manifest if reads else text:
        raise ConfigError(
            f"{wrong}: checkpoint {checkpoint} is one of {kind}; give {needed}, or another --checkpoint"
        )
    if not (text if reads else manifest):
        raise ConfigError(f"checkpoint {checkpoint} is one of {kind}: give {needed} to learn from")
    if objective is not None and (objective is Objective.mlm) != reads:
        fitting = "mlm" if reads else "ctc or best-rq"
        raise ConfigError(
            f"--objective {objective.value}: checkpoint {checkpoint} is one of {kind}, for {fitting}"
        )
