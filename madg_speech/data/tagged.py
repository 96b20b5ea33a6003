"""``token TAG`` lines, a blank line between sentences: CoNLL 2003's layout as MasakhaNER, MasakhaPOS and
WikiANN use it.

The two are divided by a tab or a space; WikiANN writes the language before the token (``en:Paris``).
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.rows import Problem
from madg_speech.data.sentence import Sentence, Sentences
from madg_speech.tasks.labels import INVENTORIES, Task


def read_tagged(path: Path, task: Task, prefix: str = "") -> Sentences:
    """Sentences all of whose tags are in the task's inventory, and a Problem for every other one.

    Args:
        path: UTF-8 text.
        task: pos or ner.
        prefix: stands before each token and is taken away.
    """
    inventory = frozenset(INVENTORIES[task])
    words: list[tuple[str, str, str]] = []  # place, token, tag
    broken: Problem | None = None
    with path.open("rb") as file:
        for number, raw in enumerate([*file, b"\n"], start=1):
            place = f"{path}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError:
                broken = broken or Problem("line that is not UTF-8", place)
                continue
            cells = line.split("\t") if "\t" in line else line.split()
            cells = [cell.strip() for cell in cells if cell.strip()]
            if not cells or cells[0] == "-DOCSTART-":
                if broken:
                    yield broken
                elif words:
                    tokens, tags = (tuple(part) for part in list(zip(*words, strict=True))[1:])
                    yield Sentence(words[0][0], tokens, tags)
                words, broken = [], None
            elif len(cells) < 2:
                broken = broken or Problem("line without a token and a tag", place)
            elif cells[-1] not in inventory:
                broken = broken or Problem(f"tag {cells[-1]!r} outside the inventory", place)
            else:
                words.append((place, cells[0].removeprefix(prefix), cells[-1]))


def write_tagged(sentence: Sentence) -> str:
    """A sentence as ``token<tab>TAG`` lines, closed by a blank line."""
    tags = sentence.tags or ("_",) * len(sentence.words)
    lines = [f"{word}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True)]
    return "\n".join(lines) + "\n\n"
