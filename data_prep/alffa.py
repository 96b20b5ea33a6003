"""ALFFA (github.com/getalp/ALFFA_PUBLIC; openslr.org/25): African languages as Kaldi data folders.

Layout: ``ASR/<LANGUAGE>/data/<split>/`` with text, wav.scp, utt2spk and the wav files; the paths in
wav.scp are those of the authors' machine, as the corpus's README says.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.kaldi import read_folder
from madg_speech.data.rows import SPLITS, LayoutError, Request, Rows, find

LICENSE = None
CODES = {"AMHARIC": "amh", "FONGBE": "fon", "HAUSA": "hau", "SWAHILI": "swh", "WOLOF": "wol"}


def rows(path: Path, request: Request) -> Rows:
    """Every data folder below a folder that has a language's name.

    Raises:
        LayoutError: no such folder.
    """
    found = [(scp.parent, _language(scp)) for scp in find(path, "wav.scp", 5)]
    named = [(folder, language) for folder, language in found if language]
    if not named:
        raise LayoutError(f"{path}: no wav.scp below a folder named {', '.join(CODES)}")
    for folder, language in named:
        split = SPLITS.get(folder.name, folder.name)
        if request.wants(language) and (request.splits is None or split in request.splits):
            yield from read_folder(folder, language, split)


def _language(scp: Path) -> str:
    return next((part.upper() for part in reversed(scp.parts) if part.upper() in CODES), "")
