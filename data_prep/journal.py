"""What a killed or repeated run need not do again: outcomes of chunks of rows, kept as they come."""

from __future__ import annotations

import json
import sqlite3
import zlib
from hashlib import blake2b
from pathlib import Path

from madg_speech.data.rows import Row
from madg_speech.data_prep.checks import Outcome


class Journal:
    """Outcomes in an SQLite file, found by what the rows say; ``fresh`` forgets them."""

    def __init__(self, path: Path, fresh: bool) -> None:
        if fresh:
            path.unlink(missing_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute(
            "PRAGMA synchronous = OFF"
        )  # a killed process loses nothing, a power cut may
        self._base.execute("CREATE TABLE IF NOT EXISTS chunks (key BLOB PRIMARY KEY, found BLOB)")

    def find(self, chunk: list[tuple[Row, str]]) -> tuple[bytes, list[Outcome]]:
        """The chunk's key, and its outcomes if they are known."""
        digest = blake2b(digest_size=16)
        for row in chunk:
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
        key = digest.digest()
        row = self._base.execute("SELECT found FROM chunks WHERE key = ?", (key,)).fetchone()
        stored = json.loads(zlib.decompress(row[0])) if row else []
        return key, [item if isinstance(item, str) else tuple(item) for item in stored]

    def keep(self, key: bytes, outcomes: list[Outcome]) -> list[Outcome]:
        """Store and return ``outcomes``."""
        packed = zlib.compress(json.dumps(outcomes).encode(), 1)
        self._base.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?)", (key, packed))
        return outcomes
