"""OpenSLR's low-resource sets (openslr.org/resources.php): two kinds of tsv, and Kaldi folders.

``line_index.tsv`` (resources 32, 64 and their like; also ``line_index_male.tsv``): the file's stem,
sometimes more, the text; stems are ``<set>_<speaker>_<number>``. ``utt_spk_text.tsv`` (52, 53, 54): stem,
speaker, text. The audio lies anywhere below the table's folder.
Neither has a header line, neither says its language inside: it is taken from a folder called
``asr_javanese`` or ``jv_id_female`` and the like, else from --lang. No set has official splits.
"""

from __future__ import annotations

import re
from pathlib import Path

from madg_speech.data import kaldi
from madg_speech.data.lines import Lookup, read_lines
from madg_speech.data.rows import LayoutError, Problem, Request, Row, Rows, find

LICENSE = None  # each resource has its own: --license
CODES: dict[str, str] = {}
_NAMED = re.compile(r"asr_([a-z]{4,})|([a-z]{2,3})_[a-z]{2}(?:_(?:fe)?male)?")
_STEM = re.compile(r"([a-z]+_\d+)_\d+")


def rows(path: Path, request: Request) -> Rows:
    """Every index below ``path``; without one, Kaldi folders.

    Raises:
        LayoutError: neither is there, or no language is known.
    """
    tables = find(path, "line_index*.tsv") + find(path, "utt_spk_text.tsv")
    if not tables:
        if not find(path, "wav.scp"):
            raise LayoutError(
                f"{path}: no line_index.tsv, utt_spk_text.tsv or wav.scp in it or below"
            )
        yield from kaldi.rows(path, request)
        return
    for table in tables:
        language = request.lang or _language(table)
        if language is None:
            raise LayoutError(f"{table}: no folder above it tells the language; give --lang")
        if request.wants(language):
            yield from _table(table, language)


def _table(table: Path, language: str) -> Rows:
    audio = Lookup.of_audio(table.parent)
    spoken = table.name.startswith("utt_spk")
    for line in read_lines(table):
        if isinstance(line, Problem):
            yield line
            continue
        place, text = line
        cells = [cell.strip() for cell in text.split("\t")]
        if len(cells) < 2 or (spoken and len(cells) < 3):
            yield Problem("line with another number of columns", place)
            continue
        name = Path(cells[0]).name.removesuffix(".wav")
        stem = _STEM.fullmatch(name)
        speaker = cells[1] if spoken else stem and stem[1]
        file = Path(audio.get(name) or table.parent / f"{name}.wav")
        yield Row(name, file, cells[-1], language, speaker=speaker)


def _language(table: Path) -> str | None:
    for part in reversed(table.parts[:-1]):
        if named := _NAMED.fullmatch(part):
            return named[1] or named[2]
    return None
