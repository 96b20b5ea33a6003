"""BloomSpeech (Leong et al. 2022, arXiv 2210.14712; huggingface.co/datasets/sil-ai/bloom-speech).

The Hub's loader gives ``audio``, ``text``, ``book``, ``instance``, ``license`` and
``original_lang_tag``; read here is what ``save_to_disk`` makes of it, or parquet. The language is the
tag, else the name of the folder. Licences differ from row to row, many forbid commercial use.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.huggingface import audio_cell, read_tables
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows

LICENSE = None
CODES: dict[str, str] = {}


def rows(path: Path, request: Request) -> Rows:
    """Every saved dataset or parquet file below ``path``.

    Raises:
        LayoutError: there is none, or it lacks a column ``audio`` or ``text``.
    """
    for number, record in enumerate(read_tables(path)):
        if isinstance(record, Problem):
            yield record
            continue
        place, split, cells = record
        if not {"audio", "text"} <= cells.keys():
            raise LayoutError(
                f"{place}: no columns audio and text; it has {', '.join(sorted(cells))}"
            )
        audio = audio_cell(cells["audio"], place)
        language = cells.get("original_lang_tag") or request.lang or _folder(place)
        if audio is None:
            yield Problem("row without audio", f"{place} row {number}")
            continue
        name = f"{cells.get('book') or 'book'}-{number:06d}"
        yield Row(
            name,
            audio,
            cells["text"] or "",
            language,
            split,
            license=_license(cells.get("license")),
        )


def _folder(place: Path) -> str:
    return (place if place.is_dir() else place.parent).name


def _license(name: str | None) -> str | None:
    """``cc-by-nc`` as CC-BY-NC-4.0: all of Bloom's Creative Commons licences are version 4.0."""
    if name and name.lower().startswith("cc-by") and not name[-1].isdigit():
        return f"{name.upper()}-4.0"
    return name.upper() if name else None
