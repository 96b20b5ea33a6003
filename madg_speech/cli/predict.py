"""``madg-speech predict``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from madg_speech.data.sentence import Sentence

app = typer.Typer()


class TaskName(StrEnum):
    """What is predicted."""

    pos = "pos"
    ner = "ner"
    parse = "parse"


@app.command()
def predict(
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Files with a sentence a line, or sentences; standard input if none."),
    ] = None,
    task: Annotated[TaskName, typer.Option(help="Part of speech, entities, or trees.")] = ...,  # type: ignore[assignment]
    lang: Annotated[str, typer.Option(help="Code or name of the language.")] = ...,  # type: ignore[assignment]
    checkpoint: Annotated[Path, typer.Option(help="What `train-task` made.")] = ...,  # type: ignore[assignment]
    adapter_from: Annotated[
        str | None,
        typer.Option(
            help="generated, none, nearest, mean, another language's, or refined:FOLDER; as it was "
            "learned when left out."
        ),
    ] = None,
    pretokenized: Annotated[
        bool, typer.Option("--pretokenized", help="Words are what stands between spaces.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; standard output if left out.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
) -> None:
    """Tags (token TAB tag), entities (IOB2) or trees (CoNLL-U) of plain text."""
    from madg_speech.cache import atomic_path
    from madg_speech.data.annotate import annotate, name_long
    from madg_speech.data.conllu import write_conllu
    from madg_speech.data.tagged import write_tagged
    from madg_speech.errors import ConfigError
    from madg_speech.languages import resolve
    from madg_speech.tasks.conditions import Condition
    from madg_speech.tasks.model import TaskModel, read_task_config

    stderr = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(note: str) -> None:
        stderr.print(f"note: {note}", markup=False)

    language = resolve(lang, say)
    trained = read_task_config(checkpoint)
    if trained.task != task.value:
        raise ConfigError(f"{checkpoint} was trained for {trained.task}, not for {task.value}")
    sentences = _sentences(text or [], pretokenized)
    model = TaskModel.from_pretrained(checkpoint)
    if device:
        model.to(device)
    rule = adapter_from or (trained.adapter_from if trained.adapter_from == "none" else "generated")
    condition = Condition(rule, model.language)
    split_up, cut = name_long(model, sentences)
    for place in split_up:
        say(f"{place} is longer than the model takes: read in several windows")
    for place, word in cut:
        say(f"{place}: only the beginning of {word[:40]}... is read: longer than the model takes")
    code = condition.code(language.iso)
    answers = annotate(model, sentences, code, condition.weights(language.iso))
    write = write_conllu if task is TaskName.parse else write_tagged
    written = "".join(map(write, answers))
    if output is None:
        sys.stdout.write(written)
        return
    with atomic_path(output) as draft:
        draft.write_text(written, encoding="utf-8")


def _sentences(given: list[str], pretokenized: bool) -> list[Sentence]:
    from madg_speech.data.lines import read_lines
    from madg_speech.data.rows import Problem
    from madg_speech.data.sentence import Sentence
    from madg_speech.errors import DataError
    from madg_speech.text.words import split_words

    lines: list[tuple[str, str]] = []
    for number, text in enumerate(given or sys.stdin.read().splitlines(), start=1):
        if given and len(text) < 256 and Path(text).is_file():
            for line in read_lines(Path(text)):
                if isinstance(line, Problem):
                    raise DataError(f"{line.where}: {line.reason}")
                lines.append(line)
        elif text.strip():
            lines.append((f"text {number}", text))
    if not lines:
        raise DataError(
            "no sentence to annotate: give sentences, files, or lines on standard input"
        )
    split = str.split if pretokenized else split_words
    return [Sentence(place, tuple(split(line))) for place, line in lines]
