"""Shows a notebook with its stored output as a page (a MkDocs hook): ``<!-- notebook: PATH -->``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
MARKER = re.compile(r"<!-- notebook: (\S+) -->")


def show(path: Path) -> str:
    """Markdown cells as they are, code and what it printed as blocks (nbformat 4)."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _show(cell))


def _show(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    printed = "".join(
        "".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout"
    )
    if printed:
        yield f"```text\n{printed.rstrip()}\n```"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return MARKER.sub(lambda marker: show(DOCS / marker[1]), markdown)
