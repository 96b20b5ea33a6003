"""Tables of text, line by line: what is broken is named and the rest goes on; memory stays bounded."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from madg_speech.audio import SUFFIXES
from madg_speech.data.rows import LayoutError, Problem


def read_lines(path: Path) -> Iterator[tuple[str, str] | Problem]:
    """Place (``file:line``) and text of each line that is not blank."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            place = f"{path}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield Problem("line that is not UTF-8", place)
                continue
            if line.strip():
                yield place, line


def read_pairs(path: Path) -> Iterator[tuple[str, str, str] | Problem]:
    """Place, key and value of lines ``KEY VALUE...``, split at the first space or tab."""
    for line in read_lines(path):
        if isinstance(line, Problem):
            yield line
            continue
        key, *rest = line[1].split(maxsplit=1)
        yield line[0], key, rest[0].strip() if rest else ""


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    need: Sequence[str] = (),
    quoted: bool = False,
) -> Iterator[tuple[str, dict[str, str]] | Problem]:
    """Place and cells by column of a tab-separated table, or a comma-separated ``.csv``.

    Args:
        path: the table.
        columns: their names, where the file has no header line.
        need: columns without which the table is another one.
        quoted: cells may be in double quotes (one line each); else quotes are text.

    Raises:
        LayoutError: a column of ``need`` is missing.
    """
    delimiter = "," if path.suffix == ".csv" else "\t"
    for line in read_lines(path):
        if isinstance(line, Problem):
            yield line
            continue
        place, text = line
        cells = next(csv.reader([text])) if quoted else text.split(delimiter)
        if columns is None:
            columns = [cell.strip() for cell in cells]
            missing = [name for name in need if name not in columns]
            if missing:
                raise LayoutError(f"{path}: no column {missing[0]}; it has {', '.join(columns)}")
        elif len(cells) != len(columns):
            yield Problem("line with another number of columns", place)
        else:
            yield place, dict(zip(columns, cells, strict=True))


class Lookup:
    """A dictionary of strings on disk; a key given two different values has none."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._base = sqlite3.connect("")  # a temporary file that goes with the connection
        self._base.execute("PRAGMA cache_size = -32768")
        self._base.execute("CREATE TABLE pairs (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        self._base.executemany(
            "INSERT INTO pairs VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = "
            "CASE WHEN value = excluded.value THEN value END",
            pairs,
        )

    @classmethod
    def of(cls, path: Path) -> Lookup:
        """Read ``KEY VALUE`` lines; what is no UTF-8 is left out. A missing file is an empty table."""
        lines = read_pairs(path) if path.is_file() else ()
        return cls((line[1], line[2]) for line in lines if not isinstance(line, Problem))

    @classmethod
    def of_audio(cls, folder: Path) -> Lookup:
        """Stem -> path of every audio file below ``folder``; none for a stem that two files have."""
        return cls(
            (name.rpartition(".")[0], str(Path(parent, name)))
            for parent, _, names in os.walk(folder)
            for name in names
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")  # noqa: PTH122
        )

    def get(self, key: str) -> str | None:
        """The value, or None."""
        found = self._base.execute("SELECT value FROM pairs WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def add(self, key: str) -> bool:
        """Put ``key`` in; whether it is new."""
        added = self._base.execute("INSERT OR IGNORE INTO pairs VALUES (?, '')", (key,))
        return added.rowcount > 0
