"""Reference of the command line and of the configuration, read off the code (a MkDocs hook)."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

MARKER = re.compile(r"<!-- reference: (\w+) -->")


def verbs() -> str:
    """Each verb: its help, its arguments and options."""
    from typer.main import get_command

    from madg_speech.cli import VERBS

    parts = []
    for verb in VERBS:
        command = get_command(import_module(f"madg_speech.cli.{verb.replace('-', '_')}").app)
        parts += _describe(verb, command, 2)
    return "\n\n".join(parts)


def _describe(name: str, command: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} madg-speech {name}"
    yield _escape(_prose(command.help or ""))
    rows = [
        (_spelling(parameter), _escape(_prose(parameter.help or "")), _default(parameter))
        for parameter in command.params
        if not {"--install-completion", "--show-completion", "--help"} & set(parameter.opts)
    ]
    if rows:
        lines = [("", "what", "default"), ("---", "---", "---"), *rows]
        yield "\n".join(f"| {' | '.join(line)} |" for line in lines)
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from _describe(f"{name} {inner}", subcommand, level + 1)


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    spellings = (*parameter.opts, *parameter.secondary_opts)
    return ", ".join(f"`{spelling}`" for spelling in sorted(spellings, key=len))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = getattr(parameter.default, "value", parameter.default)
    if parameter.secondary_opts and isinstance(value, bool):
        return f"`{(parameter.opts if value else parameter.secondary_opts)[0]}`"
    empty = value is None or value is False or value in ("", (), []) or callable(value)
    return "" if empty else f"`{value}`"


def configuration() -> str:
    """Each section of a YAML file: keys, what they do, defaults."""
    from madg_speech.config.speech import PretrainConfig

    parts = []
    for path, model in _sections("", PretrainConfig):
        parts.append(f"## {path or 'Top level'}")
        parts.append(_escape(_prose(model.__doc__ or "")))
        rows = [("key", "what", "default"), ("---", "---", "---")]
        for key, field in model.model_fields.items():
            if field.description:
                default = "required" if field.is_required() else f"`{_yaml(field.default)}`"
                rows.append((f"`{key}`", _escape(field.description), default))
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(parts)


def _sections(path: str, model: Any) -> Iterator[tuple[str, Any]]:
    from pydantic import BaseModel

    yield path, model
    for key, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from _sections(f"{path}.{key}".lstrip("."), field.annotation)


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool | tuple | dict):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def corpora() -> str:
    """The corpora that ``prepare`` reads, and what their modules say of them."""
    from madg_speech.data_prep.corpora import CORPORA

    parts = []
    for name, corpus in CORPORA.items():
        said = inspect.getdoc(import_module(corpus.module)) or ""
        parts += [f"## {name}", corpus.help, f"```text\n{said}\n```"]
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    """Paragraphs without the line breaks of the source; \\b blocks of click are kept as they are."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.replace("\b", "").split()) for paragraph in paragraphs)


def _escape(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*").replace("[", r"\[")


BLOCKS: dict[str, Callable[[], str]] = {
    block.__name__: block for block in (verbs, configuration, corpora)
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page; a marker that is none of these is a KeyError."""
    return MARKER.sub(lambda marker: BLOCKS[marker[1]](), markdown)
