"""The frozen-prefix cache of text: outputs of the layers below the first adapter, by window of pieces.

It lies in ``<cache>/prefix/<key>``; the key covers the weights of the embeddings and of the layers below
(what lies above may be cut off or not), the layer and the dtype. An entry's own key is the hash of its
pieces, special ones included: that is all that a tokenizer has to do with the states, and a sentence with
other pieces hidden is another entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.backbones.pieces import Tokenizer
from madg_speech.backbones.text import TextBackbone
from madg_speech.cache import cache_dir
from madg_speech.data.collate import pad_states
from madg_speech.data.state_store import StateStore, cut_rows, fingerprint
from madg_speech.tasks.model import TaskModel
from madg_speech.text_model import TextModel

Window = npt.NDArray[np.int64]


class TextPrefix(StateStore):
    """Hidden states [pieces, H] that enter layer ``below``, for :attr:`TextModel.known`.

    Args:
        model: whose backbone's states they are.
        below: number of the lowest layer whose work is not cached; 1 or more.
        remedy: what the user can do where it would be too large.
    """

    def __init__(self, model: TextModel, below: int, remedy: str):
        folder = cache_dir() / "prefix" / _key(model.backbone, below)
        super().__init__(folder, model.backbone.hidden_size, "pieces", remedy)
        self.below = below

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor | None:
        """States [B, T, H], float32, of windows [B, T]; None where one of them is missing."""
        rows = ids.numpy(force=True)
        try:
            found = [
                self[window_key(row[:count])]
                for row, count in zip(rows, lengths.tolist(), strict=True)
            ]
        except KeyError:
            return None
        return pad_states(found)["hidden"]

    def fill(
        self,
        model: TextModel,
        windows: Iterable[Window],
        limit_gb: float,
        pieces_per_batch: int = 4096,
    ) -> None:
        """Compute what is missing, batched by length, on the model's device.

        Args:
            model: the one that it was opened for.
            windows: piece numbers [T] of each, special ones included; repeated ones count once.
            limit_gb: refuse to start if the missing states would need more.
            pieces_per_batch: rows x longest row.

        Raises:
            DataError: the estimate exceeds ``limit_gb`` or the free disk space.
        """
        rows = {window_key(window): window for window in windows}

        def compute(keys: Sequence[str]) -> dict[str, Tensor]:
            batch = [torch.from_numpy(rows[key]) for key in keys]
            ids = pad_sequence(batch, batch_first=True, padding_value=model.backbone.tokenizer.pad)
            lengths = torch.tensor(list(map(len, batch)))
            return cut_rows(keys, *model.prefix(ids, lengths, self.below))

        self.complete(
            {key: len(window) for key, window in rows.items()},
            int,
            compute,
            limit_gb,
            pieces_per_batch,
            lambda total: f"frozen layers of {total / 1e6:.2f} M pieces",
        )


def know_sentences(
    model: TaskModel, sentences: Sequence[Sequence[str]], limit_gb: float, remedy: str
) -> None:
    """Compute the frozen layers of sentences given as words, once, for all that ``model`` will do.

    Args:
        model: begins with the cached states from now on; as it was, if an adapter is in its lowest
            layer.
        sentences: at least one word each.
        limit_gb: refuse to start if the missing states would need more.
        remedy: what the user can do then.

    Raises:
        DataError: the estimate exceeds ``limit_gb`` or the free disk space.
    """
    if not model.prefix_layers:
        return
    known = TextPrefix(model.language, model.prefix_layers, remedy)
    known.fill(model.language, windows_of(model.language.backbone.tokenizer, sentences), limit_gb)
    model.language.known = known


def windows_of(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> Iterator[Window]:
    """The windows in which ``encode_words`` reads sentences given as words."""
    for start in range(0, len(sentences), 256):
        pieces = tokenizer.encode_words(sentences[start : start + 256])
        for ids, length in zip(pieces.ids.numpy(), pieces.lengths.tolist(), strict=True):
            yield ids[:length]


def window_key(window: Window) -> str:
    """The key of a window's entry."""
    return hashlib.blake2b(window.astype("<i4").tobytes(), digest_size=16).hexdigest()


def _key(backbone: TextBackbone, below: int) -> str:
    above = {id(value) for value in backbone.layers[below:].state_dict(keep_vars=True).values()}
    state = backbone.state_dict(keep_vars=True)
    state = {name: value.detach() for name, value in state.items() if id(value) not in above}
    digest = fingerprint(state, f"float16 layers below {below}")
    return f"{Path(backbone.name).name}-below-{below}-{digest}"
