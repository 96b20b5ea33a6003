"""Multilingual LibriSpeech (Pratap et al. 2020, arXiv 2012.03411; openslr.org/94).

Layout: ``mls_<language>[_opus]/metainfo.txt`` and, a split, ``transcripts.txt`` (``id TAB text``) and
``audio/<speaker>/<book>/<id>.flac`` or ``.opus``, where the id is ``<speaker>_<book>_<number>``.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.lines import read_table
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find

LICENSE = "CC-BY-4.0"
CODES: dict[str, str] = {}
USUAL = ("train", "dev", "test")


def rows(path: Path, request: Request) -> Rows:
    """Every ``mls_<language>`` folder below ``path``, or ``path`` itself.

    Raises:
        LayoutError: no such folder with a split in it.
    """
    tables = [hit for split in USUAL for hit in find(path, f"{split}/transcripts.txt", 2)]
    folders = sorted({table.parent.parent for table in tables})
    named = [folder for folder in folders if folder.name.startswith("mls_")]
    if not named:
        raise LayoutError(
            f"{path}: no folder named mls_<language> with train/transcripts.txt in it"
        )
    for folder in named:
        language = folder.name.removeprefix("mls_").removesuffix("_opus")
        if request.wants(language):
            for split in request.chosen(USUAL):
                yield from _split(folder / split, language)


def _split(folder: Path, language: str) -> Rows:
    table = folder / "transcripts.txt"
    if not table.is_file():
        yield Problem("split without transcripts.txt", str(folder))
        return
    suffix = ".opus" if folder.parent.name.endswith("_opus") else ".flac"
    for line in read_table(table, ("id", "text")):
        if isinstance(line, Problem):
            yield line
            continue
        place, cells = line
        try:
            speaker, book, _ = cells["id"].split("_")
        except ValueError:
            yield Problem("id that is not <speaker>_<book>_<number>", place)
            continue
        audio = folder / "audio" / speaker / book / f"{cells['id']}{suffix}"
        yield Row(cells["id"], audio, cells["text"], language, folder.name, speaker)
