"""FLEURS (Conneau et al. 2022, arXiv 2205.12446): read sentences in 102 languages, no speaker names.

Layout (huggingface.co/datasets/google/fleurs, fleurs.py): ``data/<code>/<split>.tsv`` without a header
line and ``data/<code>/audio/<split>.tar.gz``; or parquet below a folder ``<code>``. Taken is the text as
written (``raw_transcription``); the length claimed is ``num_samples`` at 16 kHz.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from madg_speech.data.huggingface import audio_cell, read_tables
from madg_speech.data.lines import read_table
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find
from madg_speech.data_prep.archives import is_archive, unpack

LICENSE = "CC-BY-4.0"
# Fula as spoken in Senegal; without the region Nigeria's would be taken.
CODES = {"ff_sn": "fuc"}
USUAL = ("train", "dev", "test")
COLUMNS = (
    "id",
    "file_name",
    "raw_transcription",
    "transcription",
    "chars",
    "num_samples",
    "gender",
)
_CODE = re.compile(r"[a-z]{2,3}(_[a-z]{4})?_([a-z]{2}|\d{3})")


def rows(path: Path, request: Request) -> Rows:
    """Every language folder below ``path``, or ``path`` itself.

    Raises:
        LayoutError: no folder named like ``af_za`` that holds tsv or parquet files.
    """
    found = {file.parent for split in USUAL for file in find(path, f"{split}.tsv", 3)}
    folders = sorted(folder for folder in found if _CODE.fullmatch(folder.name))
    for folder in folders:
        if request.wants(folder.name):
            for split in request.chosen(USUAL):
                yield from _table(folder, split, request.scratch)
    tables = find(path, "*.parquet", 4)
    if not folders and not any(_code(table) for table in tables):
        raise LayoutError(
            f"{path}: no folder named like af_za with train.tsv, or parquet files, in it"
        )
    for table in tables:
        code = _code(table)
        if code and request.wants(code):
            yield from _parquet(table, code)


def _table(folder: Path, split: str, scratch: Path | None) -> Rows:
    table = folder / f"{split}.tsv"
    if not table.is_file():
        yield Problem("split without its tsv file", str(table))
        return
    archive = folder / "audio" / f"{split}.tar.gz"
    places = [folder / "audio" / split, folder / split]
    if is_archive(archive) and not any(place.is_dir() for place in places):
        unpacked = unpack(archive, (scratch or folder) / folder.name)
        places = [unpacked / split, unpacked]
    audio = next((place for place in places if place.is_dir()), places[0])
    for line in read_table(table, COLUMNS):
        if isinstance(line, Problem):
            yield line
            continue
        cells = line[1]
        name, samples = cells["file_name"], cells["num_samples"]
        yield Row(
            Path(name).stem,
            audio / name,
            cells["raw_transcription"],
            folder.name,
            split,
            seconds=int(samples) / 16_000 if samples.isdigit() else None,
        )


def _code(table: Path) -> str | None:
    return next((name for name in reversed(table.parent.parts) if _CODE.fullmatch(name)), None)


def _parquet(table: Path, code: str) -> Rows:
    for record in read_tables(table):
        if isinstance(record, Problem):
            yield record
            continue
        place, split, cells = record
        audio = audio_cell(cells.get("audio"), place)
        if audio is None:
            yield Problem("row without audio", f"{place} {cells.get('id')}")
            continue
        name = Path(_path(cells)).stem
        text = cells.get("raw_transcription") or cells.get("transcription") or ""
        samples = cells.get("num_samples")
        seconds = samples / 16_000 if samples else None
        yield Row(name, audio, text, code, split or table.parent.name, seconds=seconds)


def _path(cells: dict[str, Any]) -> str:
    """The recording's name; ``id`` is the sentence's, which several people read."""
    return str((cells["audio"] or {}).get("path") or cells.get("path") or cells.get("id"))
