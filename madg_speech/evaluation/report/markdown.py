"""The report's tables and quotations as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from madg_speech.evaluation.report.content import Content
from madg_speech.evaluation.report.diff import diff_markdown
from madg_speech.evaluation.report.sheet import Cell, Sheet, percent

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|~"})


def render_markdown(contents: Sequence[Content], title: str) -> str:
    """Everything but the drawings."""
    lines = [f"# {title}"]
    for content in contents:
        lines += ["", f"## {_plain(content.name)}", ""]
        lines += [
            f"- {_plain(label)}: **{value}** ({small})" for label, value, small in content.facts
        ]
        lines += [
            "",
            "### What to know first",
            "",
            *(f"- {_plain(line)}" for line in content.remarks),
        ]
        sheets = [*content.scores.values(), *content.groups.values(), *content.comparisons]
        for sheet in sheets:
            lines += _sheet(sheet)
        lines += _quotations(content)
        for sheet in content.about:
            lines += _sheet(sheet)
    return "\n".join(lines) + "\n"


def _sheet(sheet: Sheet) -> list[str]:
    lines = ["", f"### {_plain(sheet.title)}", ""]
    if sheet.note:
        lines += [_plain(sheet.note), ""]
    lines.append("| " + " | ".join(_plain(column.name) for column in sheet.columns) + " |")
    lines.append(
        "|" + "|".join("---:" if column.number else "---" for column in sheet.columns) + "|"
    )
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in sheet.rows]
    return lines


def _cell(cell: Cell) -> str:
    text = f"**{_plain(cell.text)}**" if cell.best else _plain(cell.text)
    return f"{text} ({_plain(cell.small)})" if cell.small else text


def _quotations(content: Content) -> list[str]:
    if not content.misses:
        return []
    lines = ["", f"### Worst utterances of {_plain(content.system)}", ""]
    lines += ["~~Left out~~, **added**; at most two a language.", ""]
    lines += [f"| {content.rate} % | language | said | heard | reference | licence |"]
    lines += ["|---:|---|---|---|---|---|"]
    for miss in content.misses:
        said, heard = diff_markdown(miss.reference, miss.hypothesis)
        cells = [
            percent(miss.rate),
            _plain(miss.language),
            said,
            heard + (f" ({_plain(miss.error)})" if miss.error else ""),
            _plain(miss.utterance.text),
            _plain(miss.utterance.license or "not given"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _plain(text: str) -> str:
    return " ".join(text.translate(_SPECIAL).split())
