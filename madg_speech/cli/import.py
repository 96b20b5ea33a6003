"""``madg-speech import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def import_adapters(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="MMS model folder, AdapterHub folders, or a folder of these.", metavar="FOLDER..."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="New checkpoint folder.")],
    lang: Annotated[
        list[str] | None,
        typer.Option("-l", "--lang", help="Only this language. Repeatable; all when left out."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="Hub id or folder, in place of the model that the adapters name."),
    ] = None,
) -> None:
    """Make a checkpoint of existing MMS or AdapterHub adapters, one a language.

    Evaluate it as a per-language baseline, or distil a generator from it (`objective: distil`).
    """
    from rich.console import Console

    from madg_speech.errors import ConfigError
    from madg_speech.formats.adopt import adopt

    if output.exists():
        raise ConfigError(f"{output} exists: give another -o, or remove it")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    model = adopt(folders, lang or (), backbone, console.print)
    model.save_pretrained(output)
    typer.echo(f"checkpoint: {output} ({', '.join(model.spec.languages)})")
