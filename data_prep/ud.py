"""Universal Dependencies 2 (universaldependencies.org; releases at LINDAT, hdl.handle.net/11234/1-1548).

Layout (universaldependencies.org/release_checklist.html): a folder ``UD_<Language>-<Treebank>`` for each
treebank, in it ``<code>_<treebank>-ud-{train,dev,test}.conllu`` (a large file in several parts, such as
``-train-a``) and a README whose machine-readable part has a line ``License:``. All treebanks of a language
go into one file; sentences of which the text is withheld (``_``) are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from madg_speech.data.rows import LayoutError, find
from madg_speech.data_prep.text_corpora import TextFile

LICENSE = None
# Codes of UD's own: qaf is Maghrebi Arabic with French, qfn Frisian with Dutch, qpm Pomak,
# qtd Turkish with German; a mixture of two languages is filed with the first.
CODES = {"qaf": "arq", "qfn": "fry", "qpm": "bul", "qtd": "tur"}
_FILE = re.compile(r"(?P<code>[a-z]+)_(?P<treebank>[a-z0-9]+)-ud-(?P<split>train|dev|test)(-\w+)?")


def files(path: Path, lang: str | None, scratch: Path) -> list[TextFile]:
    """The splits of every treebank at or below ``path``.

    Raises:
        LayoutError: there is none.
    """
    found = []
    for file in find(path, "*-ud-*.conllu", 3):
        match = _FILE.fullmatch(file.stem)
        if match:
            found.append(
                TextFile(
                    file,
                    match["code"],
                    match["split"],
                    file.parent.name,
                    _license(file.parent),
                )
            )
    if not found:
        raise LayoutError(
            f"{path}: no UD_<Language>-<Treebank>/<code>_<treebank>-ud-train.conllu in it or below"
        )
    return found


def _license(folder: Path) -> str | None:
    for readme in (folder / "README.md", folder / "README.txt"):
        if readme.is_file():
            text = readme.read_text(encoding="utf-8", errors="replace")
            if match := re.search(r"^License:\s*(.+?)\s*$", text, re.MULTILINE):
                return match[1]
    return None
