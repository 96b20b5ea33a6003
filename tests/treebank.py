"""Sentences of three words that tiny text models can tag and parse."""

from __future__ import annotations

from pathlib import Path

ORDERS = [
    ("the", "cat", "sat"),
    ("the", "mat", "sat"),
    ("cat", "sat", "the"),
    ("sat", "the", "mat"),
]
TAGS = {
    "the": ("DET", "det"),
    "cat": ("NOUN", "nsubj"),
    "mat": ("NOUN", "obj"),
    "sat": ("VERB", "root"),
}


def sentence(*words: str) -> str:
    """CoNLL-U; the verb is the root, the others hang on it."""
    root = words.index("sat") + 1
    lines = []
    for number, word in enumerate(words, start=1):
        tag, relation = TAGS[word]
        head = 0 if number == root else root
        lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_")
    return "\n".join(lines) + "\n\n"


def write_treebank(folder: Path, languages: tuple[str, ...], extra: str = "") -> Path:
    """``<iso>/{train,dev,test}.conllu``, ``extra`` at the end of each; returns ``folder``."""
    for number, language in enumerate(languages):
        for split, count in (("train", 12), ("dev", 3), ("test", 4)):
            texts = [sentence(*ORDERS[(row + number) % len(ORDERS)]) for row in range(count)]
            path = folder / language / f"{split}.conllu"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(texts) + extra)
    return folder
