"""``madg-speech export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from madg_speech.formats.export import ExportFormat
from madg_speech.formats.export import export as write

app = typer.Typer()


@app.command()
def export(
    lang: Annotated[
        list[str], typer.Option("-l", "--lang", help="Code or name. Repeatable: one call, many.")
    ],
    form: Annotated[
        ExportFormat,
        typer.Option(
            "-f",
            "--format",
            help="safetensors: for `transcribe --adapter`. adapterhub: the adapters library. mms: "
            "transformers' load_adapter. onnx: waveform in, log probabilities out.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder.")],
    checkpoint: Annotated[str, typer.Option(help="`default` or a folder.")] = "default",
    adapter: Annotated[
        Path | None,
        typer.Option(help="Folder that `refine` wrote, in place of the generated adapter."),
    ] = None,
) -> None:
    """Write adapters as files that other tools load; docs/interop.md has the code on their side."""
    from rich.console import Console

    from madg_speech.checkpoint import checkpoint_folder
    from madg_speech.conditioning import condition
    from madg_speech.errors import ConfigError
    from madg_speech.model import AdaptedModel

    if adapter is not None and len(lang) > 1:
        raise ConfigError("--adapter is of one language: give one --lang")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    model = AdaptedModel.from_pretrained(checkpoint_folder(checkpoint))
    made = [condition(model, one, adapter=adapter, notify=console.print) for one in lang]
    with console.status(f"writing {len(made)} languages as {form.value}"):
        named = checkpoint if checkpoint == "default" else str(Path(checkpoint).resolve())
        write(model, made, form, output, named)
    typer.echo(f"{', '.join(one.label for one in made)}: {output}")
