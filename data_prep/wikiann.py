"""WikiANN, also PAN-X (Pan et al. 2017, aclanthology.org/P17-1178; splits of Rahimi et al. 2019,
arXiv 1902.00193): entities in 176 Wikipedias, marked by machine.

Layout (as huggingface.co/datasets/unimelb-nlp/wikiann, wikiann.py, reads it): ``<lang>.tar.gz`` or a
folder ``<lang>``, in it ``train``, ``dev`` and ``test`` (``extra`` is not read) with lines
``<lang>:token<tab>TAG``. Codes are Wikipedia's.
"""

from __future__ import annotations

from pathlib import Path

from madg_speech.data.rows import LayoutError
from madg_speech.data_prep.archives import unpack
from madg_speech.data_prep.text_corpora import TextFile

LICENSE = None
# Wikipedia's codes that mean another language elsewhere, or nothing (meta.wikimedia.org, Special
# language codes); Simple English and Tarashkevitsa are written as what they are forms of.
CODES = {
    "als": "gsw",
    "bat-smg": "sgs",
    "be-x-old": "bel",
    "cbk-zam": "cbk",
    "fiu-vro": "vro",
    "map-bms": "jav",
    "nds-nl": "nds",
    "roa-rup": "rup",
    "roa-tara": "nap",
    "simple": "eng",
    "zh-classical": "lzh",
    "zh-min-nan": "nan",
    "zh-yue": "yue",
}
_SPLITS = ("train", "dev", "test")


def files(path: Path, lang: str | None, scratch: Path) -> list[TextFile]:
    """The splits of every language.

    Raises:
        LayoutError: neither folders nor archives with such files.
    """
    folders = {entry.name: entry for entry in sorted(path.iterdir()) if entry.is_dir()}
    for archive in sorted(path.glob("*.tar.gz")):
        code = archive.name.removesuffix(".tar.gz")
        if code not in folders:
            folders[code] = unpack(archive, scratch)
    found = [
        TextFile(file, code, split, prefix=f"{code}:")
        for code, folder in sorted(folders.items())
        for split in _SPLITS
        if (file := folder / split).is_file()
    ]
    if not found:
        raise LayoutError(f"{path}: no <lang>.tar.gz and no folder <lang> with a file train in it")
    return found
