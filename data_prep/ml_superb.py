"""ML-SUPERB (Shi et al. 2023, arXiv 2305.10615): 143 languages from many corpora.

Layout (multilingual.superbbenchmark.org; github.com/espnet/espnet, egs2/ml_superb/asr1/local/data_prep.py):
``<dataset>/<lang>/wav/<id>.wav`` and ``transcript_1h_train.txt``, ``transcript_10min_train.txt`` (a part of
it), ``transcript_10min_dev.txt``, ``transcript_10min_test.txt``, whose lines are an id, one more field and
the text. The benchmark itself keeps 20 languages for few-shot: leave them out of training in the
configuration (``exclude_languages``). No speakers.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.lines import read_lines
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find

LICENSE = None  # the source corpora's: permissive, but not one
CODES: dict[str, str] = {}
USUAL = ("train", "dev", "test")
TABLES = {
    "train": "transcript_1h_train.txt",
    "train_10min": "transcript_10min_train.txt",
    "dev": "transcript_10min_dev.txt",
    "test": "transcript_10min_test.txt",
}


def rows(path: Path, request: Request) -> Rows:
    """``USUAL`` splits, ``train`` being the hour; ``train_10min`` if it is asked for.

    Raises:
        LayoutError: no folder with these transcripts.
    """
    folders = sorted({hit.parent for name in TABLES.values() for hit in find(path, name, 3)})
    if not folders:
        raise LayoutError(f"{path}: no <dataset>/<lang>/transcript_10min_train.txt in it or below")
    for folder in folders:
        if request.wants(folder.name):
            for split in request.chosen(USUAL):
                if split in TABLES:
                    yield from _split(folder, split)


def _split(folder: Path, split: str) -> Rows:
    table = folder / TABLES[split]
    if not table.is_file():
        yield Problem("split without its transcript file", str(table))
        return
    for line in read_lines(table):
        if isinstance(line, Problem):
            yield line
            continue
        place, text = line
        cells = text.split(maxsplit=2)
        if len(cells) < 3:
            yield Problem("line without text", place)
            continue
        yield Row(cells[0], folder / "wav" / f"{cells[0]}.wav", cells[2], folder.name, split)
