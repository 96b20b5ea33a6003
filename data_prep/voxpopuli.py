"""VoxPopuli's transcribed speech (Wang et al. 2021, arXiv 2101.00390): the European Parliament.

Layout (github.com/facebookresearch/voxpopuli, voxpopuli/get_asr_data.py, which cuts it):
``transcribed_data/<lang>/asr_<split>.tsv`` and ``<lang>/<year>/<id>.ogg``. The Hub's copy
(huggingface.co/datasets/facebook/voxpopuli) has the same tables, and audio in
``data/<lang>/<split>/*.tar.gz``.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.lines import Lookup, read_table
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find
from madg_speech.data_prep.archives import unpack

LICENSE = "CC0-1.0"
CODES: dict[str, str] = {}
USUAL = ("train", "dev", "test")
NEED = ("id", "normalized_text", "speaker_id")


def rows(path: Path, request: Request) -> Rows:
    """Every language folder below ``path``, or ``path`` itself.

    Raises:
        LayoutError: no ``asr_<split>.tsv``; uncut sessions, which the corpus's script must cut first.
    """
    folders = sorted({table.parent for table in find(path, "asr_*.tsv", 3)})
    if not folders:
        hint = (
            " The sessions are there: cut them with `python -m voxpopuli.get_asr_data` first"
            if find(path, "raw_audios", 1)
            else ""
        )
        raise LayoutError(f"{path}: no asr_train.tsv in it or below.{hint}")
    for folder in folders:
        if request.wants(folder.name):
            for split in request.chosen(USUAL):
                yield from _split(folder, split, request.scratch)


def _split(folder: Path, split: str, scratch: Path | None) -> Rows:
    table = folder / f"asr_{split}.tsv"
    if not table.is_file():
        yield Problem("split without its tsv file", str(table))
        return
    shards = sorted((folder / split).glob("*.tar.gz"))
    into = (scratch or folder) / folder.name / split
    places = [unpack(shard, into) for shard in shards] or [folder / split]
    packed = Lookup((clip.stem, str(clip)) for place in places for clip in place.rglob("*.wav"))
    for line in read_table(table, need=NEED):
        if isinstance(line, Problem):
            yield line
            continue
        cells = line[1]
        name = cells["id"]
        audio = Path(packed.get(name) or folder / name[:4] / f"{name}.ogg")
        speaker = cells["speaker_id"] if cells["speaker_id"] not in ("", "None") else None
        yield Row(name, audio, cells["normalized_text"], folder.name, split, speaker)
