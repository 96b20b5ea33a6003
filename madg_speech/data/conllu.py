"""CoNLL-U (universaldependencies.org/format.html), checked word by word; broken sentences are named.

Ten tab-separated columns; ``3-4`` is a multiword token over words 3 and 4, ``3.1`` an empty node,
which only the enhanced graph has. Of the columns FORM, UPOS, HEAD and DEPREL are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from madg_speech.data.rows import Problem
from madg_speech.data.sentence import Sentence, Sentences
from madg_speech.metrics.parsing import Tree, universal
from madg_speech.tasks.labels import RELATIONS, UPOS, Task

_COLUMNS = 10
_RELATIONS, _UPOS = frozenset(RELATIONS), frozenset(UPOS)

Line = tuple[str, list[str]]  # place, columns


def read_conllu(path: Path, tasks: Sequence[Task]) -> Sentences:
    """Sentences that can be used for each of ``tasks``, and a Problem for every other one.

    A problem names the line that is wrong: columns, numbering, a tag or relation outside the
    inventory, a head outside the sentence, no root or several, a cycle, words withheld (``_``).
    """
    for block in _blocks(path):
        if isinstance(block, Problem):
            yield block
        else:
            yield _sentence(block, tasks)


def _blocks(path: Path) -> Iterator[list[Line] | Problem]:
    """The word lines of each sentence; a sentence with a line that is no UTF-8 is a problem."""
    lines: list[Line] = []
    broken: Problem | None = None
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            place = f"{path}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                broken = broken or Problem("line that is not UTF-8", place)
                continue
            if line.strip():
                if not line.startswith("#"):
                    lines.append((place, line.split("\t")))
            elif lines or broken:
                yield broken or lines
                lines, broken = [], None
    if lines or broken:
        yield broken or lines


def _sentence(lines: list[Line], tasks: Sequence[Task]) -> Sentence | Problem:
    words: list[Line] = []
    multiword: list[tuple[int, int, str]] = []
    for place, cells in lines:
        if len(cells) != _COLUMNS:
            return Problem(f"line without {_COLUMNS} tab-separated columns", place)
        first, dash, last = cells[0].partition("-")
        if dash:
            if not (first.isdecimal() and last.isdecimal() and int(first) == len(words) + 1):
                return Problem(f"multiword token out of place ({cells[0]})", place)
            if int(last) < int(first):
                return Problem(f"multiword token out of place ({cells[0]})", place)
            multiword.append((int(first), int(last), cells[1]))
        elif "." not in cells[0]:
            if cells[0] != str(len(words) + 1):
                return Problem(f"word number {cells[0]!r} out of order", place)
            words.append((place, cells))
    if not words:
        return Problem("sentence without words", lines[0][0])
    if multiword and multiword[-1][1] > len(words):
        return Problem("multiword token beyond the last word", words[-1][0])
    forms = tuple(cells[1] for _, cells in words)
    if all(form == "_" for form in forms) and len(forms) > 1:
        return Problem("sentence whose words are withheld", words[0][0])
    tags = tuple(cells[3] for _, cells in words)
    if "pos" in tasks and (problem := _tag_problem(words)):
        return problem
    tree = None
    if "parse" in tasks:
        if problem := _tree_problem(words):
            return problem
        heads = tuple(int(cells[6]) for _, cells in words)
        tree = Tree(forms, heads, tuple(cells[7] for _, cells in words), tuple(multiword))
    return Sentence(words[0][0], forms, tags, tree)


def _tag_problem(words: list[Line]) -> Problem | None:
    for place, cells in words:
        if cells[3] not in _UPOS:
            return Problem(f"UPOS {cells[3]!r} outside the inventory", place)
    return None


def _tree_problem(words: list[Line]) -> Problem | None:
    heads: list[int] = []
    for place, cells in words:
        if not cells[6].isdecimal() or int(cells[6]) > len(words):
            return Problem(f"head {cells[6]!r} outside the sentence", place)
        if universal(cells[7]) not in _RELATIONS:
            return Problem(f"relation {cells[7]!r} outside the inventory", place)
        heads.append(int(cells[6]))
    roots = heads.count(0)
    if roots != 1:
        return Problem(f"tree with {roots} roots", words[0][0])
    for number, (place, cells) in enumerate(words):
        if (heads[number] == 0) != (universal(cells[7]) == "root"):
            return Problem("relation root on a word that is not the root, or another on it", place)
    for number in range(len(words)):
        above, steps = number + 1, 0
        while above and steps <= len(words):
            above, steps = heads[above - 1], steps + 1
        if above:
            return Problem("tree with a cycle", words[number][0])
    return None


def write_conllu(sentence: Sentence) -> str:
    """A sentence with its tree as CoNLL-U, closed by a blank line; unknown columns are ``_``."""
    tree = sentence.tree
    tokens = {first: (last, form) for first, last, form in (tree.multiword if tree else ())}
    lines = []
    for number, word in enumerate(sentence.words, start=1):
        if number in tokens:
            last, form = tokens[number]
            lines.append("\t".join([f"{number}-{last}", form, *["_"] * 8]))
        tag = sentence.tags[number - 1] if sentence.tags else "_"
        head, relation = (
            (str(tree.heads[number - 1]), tree.relations[number - 1]) if tree else ("_", "_")
        )
        lines.append("\t".join([str(number), word, "_", tag, "_", "_", head, relation, "_", "_"]))
    return "\n".join(lines) + "\n\n"
