"""MasakhaNER (Adelani et al. 2021, arXiv 2103.11811; 2022, arXiv 2210.12391) and MasakhaPOS (Dione et al.
2023, arXiv 2305.13989).

Layout (github.com/masakhane-io/masakhane-ner, masakhane-pos): ``data/<lang>/{train,dev,test}.txt``; the
second MasakhaNER lies in ``MasakhaNER2.0/data``. Lines are ``token TAG``. Where both editions of
MasakhaNER have a language, the second is read. Codes are ISO 639-3 with ``swa`` for Swahili; folders of
other languages' data that the repositories use for transfer are no part of the corpora.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.rows import LayoutError, find
from madg_speech.data_prep.text_corpora import TextFile

LICENSE = "CC-BY-NC-4.0"
CODES: dict[str, str] = {}
_SPLITS = ("train", "dev", "test")
_TRANSFER = ("conll_2003_en", "zh")


def files(path: Path, lang: str | None, scratch: Path) -> list[TextFile]:
    """The splits of every language.

    Raises:
        LayoutError: no language folder with such files.
    """
    editions = [folder for folder in find(path, "data", 2) if folder.is_dir()] or [path]
    editions.sort(key=lambda folder: ("2.0" not in folder.parent.name, str(folder)))
    found: dict[str, list[TextFile]] = {}
    for edition in editions:
        for folder in sorted(entry for entry in edition.iterdir() if entry.is_dir()):
            splits = [
                TextFile(file, folder.name, split, edition.parent.name)
                for split in _SPLITS
                if (file := folder / f"{split}.txt").is_file()
            ]
            plain = folder.name.isalpha() and folder.name not in _TRANSFER
            if splits and plain and folder.name not in found:
                found[folder.name] = splits
    if not found:
        raise LayoutError(f"{path}: no data/<lang>/train.txt in it")
    return [file for splits in found.values() for file in splits]
