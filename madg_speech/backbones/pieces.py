"""Text and words -> sub-word pieces, in windows that fit the model; nothing is dropped unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.errors import BackboneError, DataError

FILES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class Pieces:
    """A batch of pre-tokenised sentences as windows of pieces; a sentence too long has several.

    Attributes:
        ids: [R, T] piece numbers, padded.
        lengths: [R] pieces of each window.
        sentences: the sentence of each window, R numbers.
        slots: [R, T] place of each piece's word among the B x W words, -1 where there is none.
        last: [R, T] bool, the last piece of its word.
        counts: [B x W] pieces of each word, 0 beyond a sentence's end.
        shape: B sentences and W, the words of the longest.
        split: numbers of the sentences that needed several windows.
        cut: words longer than a whole window, of which only the beginning is there.
    """

    ids: Tensor
    lengths: Tensor
    sentences: list[int]
    slots: Tensor
    last: Tensor
    counts: Tensor
    shape: tuple[int, int]
    split: list[int]
    cut: list[str]


class Tokenizer:
    """A transformers tokenizer, asked word by word.

    Attributes:
        max_pieces: the longest input of the model, special pieces included.
    """

    def __init__(self, tokenizer: Any, max_pieces: int):
        """Wrap a fast tokenizer; BackboneError if it has no pieces for begin, end or unknown."""
        self.tokenizer = tokenizer
        self.max_pieces = max_pieces
        needed = {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id}
        needed |= {"unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
        missing = [name for name, number in needed.items() if number is None]
        if missing:
            raise BackboneError(
                f"{tokenizer.name_or_path}: the tokenizer has no {' or '.join(missing)} token; "
                "expected that of a BERT, XLM-R or DistilBERT model"
            )

    @classmethod
    def from_folder(cls, folder: Path, name: str, max_pieces: int) -> Tokenizer:
        """Load the tokenizer beside a model's weights; BackboneError if there is none."""
        from transformers import AutoTokenizer

        # transformers makes up an empty tokenizer where it finds none
        if not any((folder / file).is_file() for file in FILES):
            raise BackboneError(f"{name} has no tokenizer: expected one of {', '.join(FILES)}")
        loaded = AutoTokenizer.from_pretrained(folder)
        return cls(loaded, max_pieces)

    @property
    def pad(self) -> int:
        """Number of the padding piece."""
        number: int = self.tokenizer.pad_token_id
        return number

    @property
    def mask(self) -> int:
        """Number of the mask piece; BackboneError if the tokenizer has none."""
        number: int | None = self.tokenizer.mask_token_id
        if number is None:
            raise BackboneError(
                f"{self.tokenizer.name_or_path}: the tokenizer has no mask token, which objective mlm "
                "needs; choose a masked language model (BERT, XLM-R, DistilBERT) or add [MASK] to it"
            )
        return number

    def __call__(self, texts: Sequence[str], window: int | None = None) -> list[list[list[int]]]:
        """Windows of pieces of each running text, special pieces included; one, where it fits.

        ``window``: the most pieces in one, if fewer than the model takes.
        """
        room = min(window or self.max_pieces, self.max_pieces) - 2
        spelt = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [
            [self._wrap(ids[at : at + room]) for at in range(0, len(ids), room)] for ids in spelt
        ]

    def _wrap(self, ids: Sequence[int]) -> list[int]:
        return [self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> Pieces:
        """Pieces of sentences given as words.

        A word that the tokenizer makes nothing of becomes the unknown piece, so that each word has a
        state. A sentence that does not fit goes on in another window, cut between words.

        Raises:
            DataError: a sentence without words.
        """
        empty = [number for number, words in enumerate(sentences) if not words]
        if empty or not sentences:
            where = f"sentence {empty[0]} of {len(sentences)} has" if empty else "there are"
            raise DataError(f"{where} no words; expected at least one in each")
        width = max(map(len, sentences))
        batch = _Windows(self.max_pieces - 2, width)
        spelt = self._spell({word for words in sentences for word in words})
        for number, words in enumerate(sentences):
            batch.add(number, words, spelt)
        rows = batch.rows
        ids = [torch.tensor(self._wrap([i for i, _, _ in row])) for row in rows]
        slots = [torch.tensor([-1, *(slot for _, slot, _ in row), -1]) for row in rows]
        last = [torch.tensor([False, *(end for _, _, end in row), False]) for row in rows]
        padded = pad_sequence(slots, batch_first=True, padding_value=-1)
        return Pieces(
            pad_sequence(ids, batch_first=True, padding_value=self.pad),
            torch.tensor([len(row) + 2 for row in rows]),
            batch.sentences,
            padded,
            pad_sequence(last, batch_first=True),
            torch.bincount(padded[padded >= 0], minlength=len(sentences) * width),
            (len(sentences), width),
            batch.split,
            batch.cut,
        )

    def _spell(self, words: set[str]) -> dict[str, list[int]]:
        ordered = sorted(words)
        spelt = self.tokenizer(ordered, add_special_tokens=False, verbose=False)["input_ids"]
        unknown = [self.tokenizer.unk_token_id]
        return {word: ids or unknown for word, ids in zip(ordered, spelt, strict=True)}


class _Windows:
    """Rows of (piece, slot, whether it ends its word), filled sentence by sentence."""

    def __init__(self, room: int, width: int):
        self.room, self.width = room, width
        self.rows: list[list[tuple[int, int, bool]]] = []
        self.sentences: list[int] = []
        self.split: list[int] = []
        self.cut: list[str] = []

    def add(self, number: int, words: Sequence[str], spelt: dict[str, list[int]]) -> None:
        self._open(number)
        for place, word in enumerate(words):
            ids = spelt[word]
            if len(ids) > self.room:
                self.cut.append(word)
                ids = ids[: self.room]
            if len(self.rows[-1]) + len(ids) > self.room:
                self._open(number)
            slot = number * self.width + place
            ends = [False] * (len(ids) - 1) + [True]
            self.rows[-1] += [(i, slot, end) for i, end in zip(ids, ends, strict=True)]
        if self.sentences[-2:] == [number, number]:
            self.split.append(number)

    def _open(self, number: int) -> None:
        self.rows.append([])
        self.sentences.append(number)
