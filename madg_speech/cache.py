"""Where downloaded and computed things live, and how files are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """The cache root: ``$MADG_CACHE`` if set, else ``~/.cache/madg-speech``. Created by its users."""
    chosen = os.environ.get("MADG_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "madg-speech"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it there on success, delete it on failure.

    Works for a file or a folder (a folder replaces an existing one). A killed process leaves only a
    ``.tmp-*`` name behind, never half of ``target``. Files become as readable as the umask has it:
    safetensors makes its own for their owner alone, and caches and checkpoints are shared.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".tmp-{target.name}-", dir=target.parent))
    draft = holder / target.name
    try:
        yield draft
        probe = holder / ".mode"
        probe.touch()
        mode = probe.stat().st_mode
        for file in (draft, *draft.rglob("*")):
            if file.is_file() and not file.is_symlink():
                file.chmod(mode)
        if target.is_dir() and draft.is_dir():
            shutil.rmtree(target)
        draft.replace(target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
