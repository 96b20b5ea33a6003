"""The command line: ``madg-speech VERB``. One module per verb, imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from madg_speech import __version__
from madg_speech.errors import MadgSpeechError

VERBS = {
    "languages": "List, search and select languages; typological neighbours and observed features.",
    "prepare": "Make manifests from a corpus (or synthetic speech from eSpeak NG).",
    "pretrain": "Train a weight source and a CTC head over many languages; the backbone stays frozen.",
    "refine": "Tune one language's adapter, or its λ alone, on minutes of audio, or on text.",
    "train-task": "Train POS tagging, NER or parsing on top of frozen language adapters of text.",
    "predict": "Tags, entities or trees of plain text in any URIEL language.",
    "evaluate-task": "Score task checkpoints on every language of a folder, with groups and intervals.",
    "evaluate": "Score systems on manifests: CER and WER per language and group, comparisons.",
    "report": "Draw results: one HTML page that needs no network, and Markdown.",
    "transcribe": "Transcribe recordings in any URIEL language.",
    "serve": "A web page and an OpenAI-compatible endpoint that transcribe.",
    "export": "Write adapters for AdapterHub, MMS (transformers), ONNX or `transcribe --adapter`.",
    "import": "Make a checkpoint of existing MMS or AdapterHub adapters, one a language.",
    "build-lexicon": "Make a native-script lexicon and n-gram model from plain text.",
    "demo": "Hear two languages never trained on: generated, no and wrong adapters side by side.",
}


class LazyVerbs(TyperGroup):
    """Lists verbs from ``VERBS`` and imports ``madg_speech.cli.<verb>`` on use: help stays instant."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Verbs in the order in which a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"madg_speech.cli.{cmd_name.replace('-', '_')}")
        command = get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verb table without importing any verb."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


app = typer.Typer(
    cls=LazyVerbs, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"madg-speech {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Speech recognition with adapters generated from a language's typological vector (MAD-G)."""


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and their exit status."""
    try:
        app()
    except MadgSpeechError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
