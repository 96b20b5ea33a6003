"""Results in, report out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from madg_speech.cache import atomic_path
from madg_speech.evaluation.report.content import collect
from madg_speech.evaluation.report.markdown import render_markdown
from madg_speech.evaluation.report.page import Audio, render_page
from madg_speech.evaluation.report.parts import read_parts

PAGE, MARKDOWN = "index.html", "report.md"


def write_report(
    results: Sequence[Path],
    folder: Path,
    *,
    title: str = "Evaluation",
    baseline: str | None = None,
    worst: int = 20,
    non_commercial: bool = False,
    audio: Audio = "link",
) -> list[Path]:
    """Write ``index.html`` and ``report.md`` into ``folder``; returns their paths.

    Args:
        results: results.json files, or the folders that hold them; each becomes a part.
        folder: made if need be.
        title: heading.
        baseline: the system that gains are measured against; the strongest other one if None.
        worst: how many utterances to quote at most, in each part.
        non_commercial: whether to quote references whose licence forbids commercial use.
        audio: of the quoted utterances: ``link`` to the files, ``embed`` them, or ``none``.

    Raises:
        DataError: no results there, or of another format.
        ConfigError: ``baseline`` names no system.
    """
    contents = [collect(part, baseline, worst, non_commercial) for part in read_parts(results)]
    rendered = {
        PAGE: render_page(contents, title, folder.resolve(), audio),
        MARKDOWN: render_markdown(contents, title),
    }
    for name, text in rendered.items():
        with atomic_path(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")
    return [folder / name for name in rendered]
