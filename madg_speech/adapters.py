"""Bottleneck adapters for many languages at once, and the one function that applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from madg_speech.cache import atomic_path
from madg_speech.errors import CheckpointError

TENSORS = ("down", "down_bias", "up", "up_bias")
NORM_TENSORS = ("norm_weight", "norm_bias")


@dataclass(frozen=True)
class AdapterShape:
    """Which layers of a backbone carry an adapter, and how wide it is.

    Attributes:
        layers: numbers of the adapted layers, ascending, 0 is the lowest.
        hidden_size: width H of the backbone.
        bottleneck: width b of the adapter.
        norm: the adapter has a layer norm of its own ahead of ``down``, as MMS's blocks have.
    """

    layers: tuple[int, ...]
    hidden_size: int
    bottleneck: int
    norm: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that an adapter of this shape has."""
        return TENSORS + NORM_TENSORS if self.norm else TENSORS

    def tensor_shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor of one layer: ``down`` [b, H], ``up`` [H, b], biases, ``norm_*`` [H]."""
        b, h = self.bottleneck, self.hidden_size
        shapes = {"down": (b, h), "down_bias": (b,), "up": (h, b), "up_bias": (h,)}
        return shapes.get(name, (h,))


@dataclass(frozen=True)
class LayerAdapters:
    """The adapters of one layer: down [L, b, H], down_bias [L, b], up [L, H, b], up_bias [L, H].

    With a norm of their own also norm_weight and norm_bias [L, H].
    """

    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor
    norm_weight: Tensor | None = None
    norm_bias: Tensor | None = None


@dataclass(frozen=True)
class AdapterWeights:
    """Adapter tensors of L languages over N layers; nothing here knows how they were made.

    Attributes:
        layers: numbers of the N adapted layers.
        down: [L, N, b, H].
        down_bias: [L, N, b].
        up: [L, N, H, b].
        up_bias: [L, N, H].
        norm_weight: [L, N, H]; None, like ``norm_bias``, where the adapters have no norm.
        norm_bias: [L, N, H].
    """

    layers: tuple[int, ...]
    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor
    norm_weight: Tensor | None = None
    norm_bias: Tensor | None = None

    @property
    def shape(self) -> AdapterShape:
        """Layers and widths."""
        norm = self.norm_weight is not None
        return AdapterShape(self.layers, self.down.shape[-1], self.down.shape[-2], norm)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by name."""
        return {name: getattr(self, name) for name in self.shape.tensors}

    def at(self, layer: int) -> LayerAdapters:
        """The adapters of one layer number."""
        n = self.layers.index(layer)
        return LayerAdapters(**{name: tensor[:, n] for name, tensor in self.tensors.items()})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> AdapterWeights:
        """The same weights on another device (and in another dtype)."""
        moved = {name: tensor.to(device, dtype) for name, tensor in self.tensors.items()}
        return AdapterWeights(self.layers, **moved)

    def save(self, path: Path, languages: Sequence[str]) -> None:
        """Write a safetensors file: the tensors; layers and language codes in its metadata."""
        tensors = {name: t.detach().contiguous().cpu() for name, t in self.tensors.items()}
        metadata = {"layers": " ".join(map(str, self.layers)), "languages": " ".join(languages)}
        with atomic_path(path) as draft:
            save_file(tensors, draft, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> tuple[AdapterWeights, list[str]]:
        """Read what ``save`` wrote; returns the weights and the language codes in row order.

        Raises:
            CheckpointError: the file is missing, no safetensors file, or lacks a tensor.
        """
        try:
            with safe_open(path, framework="pt") as stored:
                metadata = stored.metadata() or {}
                norm = NORM_TENSORS if NORM_TENSORS[0] in stored.keys() else ()  # noqa: SIM118
                tensors = {name: stored.get_tensor(name) for name in TENSORS + norm}
            layers = tuple(int(number) for number in metadata["layers"].split())
            return cls(layers, **tensors), metadata["languages"].split()
        except Exception as error:
            raise CheckpointError(f"{path}: no adapter weights ({error})") from None


@dataclass(frozen=True)
class ActiveAdapters:
    """Adapter weights and which of them each row of a batch uses.

    Attributes:
        weights: adapters of L languages.
        index: [B] int64, the row's place among the L languages, -1 for no adapter.
        on: [B, 1 or T, 1] bool, false where nothing is adapted; None when every row has an adapter.
        single: every row uses the one language that ``weights`` holds: no gathering needed.
    """

    weights: AdapterWeights
    index: Tensor
    on: Tensor | None
    single: bool

    @classmethod
    def select(cls, weights: AdapterWeights, index: Sequence[int]) -> ActiveAdapters:
        """Pair weights with a row index; decided here, on the host, so that no layer has to sync.

        Raises:
            IndexError: an index is neither -1 nor the number of a language in ``weights``.
        """
        languages = weights.down.shape[0]
        wrong = [i for i in index if not -1 <= i < languages]
        if wrong:
            raise IndexError(f"language index {wrong[0]} for weights of {languages} languages")
        rows = torch.tensor(index, dtype=torch.int64, device=weights.down.device)
        on = None if all(i >= 0 for i in index) else (rows >= 0)[:, None, None]
        return cls(weights, rows.clamp(min=0), on, languages == 1)

    def within(self, lengths: Tensor, frames: int) -> ActiveAdapters:
        """The same adapters in the first ``lengths`` [B] of so many frames of each row alone."""
        places = torch.arange(frames, device=self.index.device)
        inside = (places[None] < lengths.to(self.index.device)[:, None])[..., None]
        return replace(self, on=inside if self.on is None else inside & self.on)


def bottleneck(hidden: Tensor, layer: int, active: ActiveAdapters) -> Tensor:
    """What the adapter of ``layer`` adds to its input: up · relu(down · h + down_bias) + up_bias.

    An adapter with a norm takes LN(h) in place of h (MMS's block: Pratap et al. 2023, section 5.2).
    Each projection is one batched matrix product over rows of any mixture of languages (Pfeiffer
    bottleneck: Ansell et al. 2021, section 3).

    Args:
        hidden: [B, T, H].
        layer: layer number.
        active: weights and row index.

    Returns:
        [B, T, H] in the dtype of ``hidden``; exactly zero in rows without an adapter.
    """
    w = active.weights.at(layer)
    if active.single:
        if w.norm_weight is not None and w.norm_bias is not None:
            hidden = functional.layer_norm(
                hidden, hidden.shape[-1:], w.norm_weight[0], w.norm_bias[0]
            )
        inner = functional.linear(hidden, w.down[0], w.down_bias[0])
        added = functional.linear(inner.relu_(), w.up[0], w.up_bias[0])
    else:
        rows = partial(torch.index_select, dim=0, index=active.index)
        down, down_bias, up, up_bias = map(rows, (w.down, w.down_bias, w.up, w.up_bias))
        if w.norm_weight is not None and w.norm_bias is not None:
            scale, shift = rows(w.norm_weight)[:, None], rows(w.norm_bias)[:, None]
            hidden = functional.layer_norm(hidden, hidden.shape[-1:]) * scale + shift
        inner = torch.baddbmm(down_bias[:, None], hidden, down.transpose(1, 2))
        added = torch.baddbmm(up_bias[:, None], inner.relu_(), up.transpose(1, 2))
    if active.on is not None:
        added = torch.where(
            active.on, added, torch.zeros((), dtype=added.dtype, device=added.device)
        )
    return added.to(hidden.dtype)
