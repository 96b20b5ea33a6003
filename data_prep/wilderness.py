"""CMU Wilderness (Black 2019; github.com/festvox/datasets-CMU_Wilderness): aligned New Testaments.

Layout, after the corpus's own ``do_found fast_make_align``: ``<LANGID>/aligned/wav/<id>.wav`` and
``<LANGID>/aligned/etc/txt.done.data`` with lines ``( id "text" score )``, the score that of the
alignment (lower is better). LangList.txt gives the language of each six-letter LANGID; where it is not
there, LANGID's first three letters are its code. No speakers, no splits.
"""

from __future__ import annotations

import re
from pathlib import Path

from madg_speech.data.lines import read_lines
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find

LICENSE = None  # the recordings are bible.is's, under its terms
CODES: dict[str, str] = {}
_UTTERANCE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*(\S*)\s*\)')


def rows(path: Path, request: Request) -> Rows:
    """Every aligned language below ``path``, or ``path`` itself.

    Raises:
        LayoutError: no ``aligned/etc/txt.done.data``.
    """
    tables = find(path, "aligned/etc/txt.done.data", 2)
    if not tables:
        raise LayoutError(
            f"{path}: no <LANGID>/aligned/etc/txt.done.data; make it by the corpus's bin/do_found"
        )
    languages = _languages(path)
    for table in tables:
        folder = table.parents[2]
        language = languages.get(folder.name, folder.name[:3].lower())
        if request.wants(language):
            yield from _language(table, folder.name, language)


def _language(table: Path, name: str, language: str) -> Rows:
    audio = table.parents[1] / "wav"
    for line in read_lines(table):
        if isinstance(line, Problem):
            yield line
            continue
        place, text = line
        utterance = _UTTERANCE.fullmatch(text.strip())
        if utterance is None:
            yield Problem('line that is not ( id "text" score )', place)
            continue
        spoken = utterance[2].replace('\\"', '"')
        # Two translations into one language share ids, so LANGID goes before them.
        yield Row(f"{name}-{utterance[1]}", audio / f"{utterance[1]}.wav", spoken, language)


def _languages(path: Path) -> dict[str, str]:
    found = {}
    for table in (path / "LangList.txt", path.parent / "LangList.txt"):
        for line in read_lines(table) if table.is_file() else ():
            cells = [] if isinstance(line, Problem) else line[1].split()
            if len(cells) >= 2:
                found.setdefault(cells[0], cells[1])
    return found
