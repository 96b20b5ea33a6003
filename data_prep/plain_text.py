"""Plain text, a sentence a line: a folder of ``<language>.txt``, or a file of a given language."""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.rows import LayoutError
from madg_speech.data_prep.text_corpora import TextFile

LICENSE = None
CODES: dict[str, str] = {}


def files(path: Path, lang: str | None, scratch: Path) -> list[TextFile]:
    """The texts, whose language is their name or else ``lang``.

    Raises:
        LayoutError: no text file.
    """
    texts = [path] if path.is_file() else sorted(path.glob("*.txt"))
    if not texts:
        raise LayoutError(f"{path}: no <language>.txt in it")
    return [TextFile(text, lang or text.stem, part=text.name) for text in texts]
