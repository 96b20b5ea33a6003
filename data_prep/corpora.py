"""The corpora that ``madg-speech prepare`` knows: one line each, from which the command line is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from madg_speech.data.rows import find


@dataclass(frozen=True)
class Corpus:
    """A corpus and the module that reads it.

    Attributes:
        module: has ``rows(path, request)``, ``CODES`` (the corpus's language codes that
            ``madg_speech.languages.resolve`` would take for another language) and ``LICENSE``.
        help: for the command line.
        signs: names (globs) that a folder of this corpus holds, and others as a rule do not.
    """

    module: str
    help: str
    signs: tuple[str, ...]


_HERE = "madg_speech.data_prep"
CORPORA = {
    "common-voice": Corpus(
        f"{_HERE}.common_voice",
        "Mozilla Common Voice: release folders (2017 to now), their archives, or the Hub's mirror.",
        ("clips", "validated.tsv", "cv-valid-train.csv", "transcript"),
    ),
    "fleurs": Corpus(
        f"{_HERE}.fleurs",
        "FLEURS: folders of tsv and audio (loose or tar.gz), or parquet.",
        ("??_??", "???_??", "parquet-data"),
    ),
    "mls": Corpus(
        f"{_HERE}.mls",
        "Multilingual LibriSpeech (OpenSLR 94), flac or opus.",
        ("metainfo.txt", "limited_supervision"),
    ),
    "voxpopuli": Corpus(
        f"{_HERE}.voxpopuli",
        "VoxPopuli's transcribed speech, as its scripts or the Hub lay it out.",
        ("asr_train.tsv", "asr_dev.tsv", "transcribed_data"),
    ),
    "babel": Corpus(
        f"{_HERE}.babel",
        "IARPA Babel packages of the LDC: sphere or wav, cut into segments.",
        ("conversational", "scripted"),
    ),
    "alffa": Corpus(
        f"{_HERE}.alffa",
        "ALFFA: Amharic, Fongbe, Hausa, Swahili, Wolof (Kaldi style).",
        ("AMHARIC", "SWAHILI", "WOLOF", "FONGBE"),
    ),
    "openslr": Corpus(
        f"{_HERE}.openslr",
        "OpenSLR low-resource sets: line_index.tsv, utt_spk_text.tsv, or Kaldi style.",
        ("line_index*.tsv", "utt_spk_text.tsv"),
    ),
    "wilderness": Corpus(
        f"{_HERE}.wilderness",
        "CMU Wilderness: aligned New Testaments in some 700 languages.",
        ("aligned", "LangList.txt"),
    ),
    "ml-superb": Corpus(
        f"{_HERE}.ml_superb",
        "ML-SUPERB: 10 minutes and 1 hour in each of 143 languages.",
        ("transcript_10min_train.txt", "transcript_10min_dev.txt"),
    ),
    "bloom": Corpus(
        f"{_HERE}.bloom",
        "BloomSpeech, as saved by the datasets library or in parquet.",
        (),
    ),
    "kaldi": Corpus(
        "madg_speech.data.kaldi",
        "Any Kaldi data folder, or a folder of them (a split each); segments are cut.",
        ("wav.scp",),
    ),
    "huggingface": Corpus(
        "madg_speech.data.huggingface",
        "Any Hugging Face dataset on disk: save_to_disk, or parquet.",
        ("dataset_dict.json", "state.json", "*.parquet"),
    ),
}


def looks_like(path: Path, asked: str) -> str:
    """A hint at another corpus that ``path`` has the signs of, or what there is instead; for an error."""
    for name, corpus in CORPORA.items():
        if name != asked and any(find(path, sign, 3) for sign in corpus.signs):
            return f". It looks like {name}: madg-speech prepare {name} {path}"
    entries = sorted(entry.name for entry in path.iterdir())[:8] if path.is_dir() else []
    return f". In {path}: {', '.join(entries) or 'nothing'}"
