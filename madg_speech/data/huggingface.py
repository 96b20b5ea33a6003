"""Hugging Face datasets on disk: what ``save_to_disk`` wrote, or folders of parquet files.

Layout: huggingface.co/docs/datasets (``save_to_disk``; "Load audio data": an audio cell is a struct of
``bytes`` and ``path``). Audio is not decoded here: datasets would need torchcodec for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from madg_speech.data.rows import SPLITS, Embedded, LayoutError, Problem, Request, Row, Rows, find

LICENSE = None
CODES: dict[str, str] = {}
ID_COLUMNS = ("id", "utt_id", "path")
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
LANGUAGE_COLUMNS = ("lang", "language", "locale")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(SPLITS)})(?![a-z])")
_MARKERS = ("dataset_dict.json", "state.json")


def rows(path: Path, request: Request) -> Rows:
    """Any dataset with an ``audio`` column; the other columns are found by their usual names.

    Raises:
        LayoutError: no dataset, a column is missing, or no language is given.
    """
    for number, record in enumerate(read_tables(path)):
        if isinstance(record, Problem):
            yield record
            continue
        place, split, cells = record
        if "audio" not in cells or not cells.keys() & set(TEXT_COLUMNS):
            missing = "audio" if "audio" not in cells else " or ".join(TEXT_COLUMNS)
            raise LayoutError(f"{place}: no column {missing}; it has {', '.join(sorted(cells))}")
        language = _first(cells, LANGUAGE_COLUMNS) or request.lang
        if language is None:
            raise LayoutError(f"{place}: no column {' or '.join(LANGUAGE_COLUMNS)}: give --lang")
        name = str(_first(cells, ID_COLUMNS) or f"{path.name}-{number:06d}")
        audio = audio_cell(cells["audio"], place)
        if audio is None:
            yield Problem("row without audio", f"{place} {name}")
            continue
        speaker = _first(cells, SPEAKER_COLUMNS)
        yield Row(
            name,
            audio,
            str(_first(cells, TEXT_COLUMNS) or ""),
            str(language),
            split,
            None if speaker is None else str(speaker),
            seconds=float(cells["seconds"]) if cells.get("seconds") else None,
            license=cells.get("license"),
        )


def read_tables(path: Path) -> Iterator[tuple[Path, str, dict[str, Any]] | Problem]:
    """File or folder, split ("" if it has none) and cells of every row; audio cells are undecoded.

    Raises:
        LayoutError: neither a saved dataset nor a parquet file in the folder or below.
    """
    saved = sorted({hit.parent for marker in _MARKERS for hit in find(path, marker)})
    saved = [
        folder for folder in saved if folder.parent not in saved
    ]  # splits of a dict are folders too
    files = [path] if path.suffix == ".parquet" else sorted(path.rglob("*.parquet"))
    if not saved and not files:
        raise LayoutError(
            f"{path}: no dataset in it or below; expected dataset_dict.json or state.json (written by "
            "save_to_disk) or *.parquet"
        )
    for folder in saved:
        yield from _read_saved(folder)
    for file in files:
        yield from _read_parquet(file, path)


def audio_cell(cell: Any, place: Path) -> Path | Embedded | None:
    """What an audio cell holds: the bytes of a file, or its path (relative to the table)."""
    if isinstance(cell, str) and cell:
        return place.parent / cell
    if not isinstance(cell, dict):
        return None
    if cell.get("bytes"):
        return Embedded(cell["bytes"], Path(cell.get("path") or "").suffix or ".wav")
    return place.parent / cell["path"] if cell.get("path") else None


def _read_saved(folder: Path) -> Iterator[tuple[Path, str, dict[str, Any]] | Problem]:
    from datasets import Audio, DatasetDict, load_from_disk

    try:
        loaded: Any = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        yield Problem(f"dataset that cannot be loaded ({type(error).__name__})", str(folder))
        return
    tables = loaded if isinstance(loaded, DatasetDict) else {"": loaded}
    for name, table in tables.items():
        if "audio" in table.column_names and isinstance(table.features["audio"], Audio):
            table = table.cast_column("audio", Audio(decode=False))
        for cells in table:
            yield folder, SPLITS.get(name, name), cells


def _read_parquet(file: Path, root: Path) -> Iterator[tuple[Path, str, dict[str, Any]] | Problem]:
    import pyarrow
    from pyarrow import parquet

    named = _SPLIT.findall(str(file.relative_to(root) if file != root else file.name).lower())
    split = SPLITS[named[-1]] if named else ""
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=32):
                for cells in batch.to_pylist():
                    yield file, split, cells
    except (pyarrow.ArrowException, OSError) as error:
        yield Problem(f"parquet file that cannot be read ({type(error).__name__})", str(file))


def _first(cells: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((cells[name] for name in names if cells.get(name) is not None), None)
