"""The one place with hooks: puts adapters into a backbone's layers without changing the backbone.

With A(h) = up · relu(down · h + down_bias) + up_bias, always after the feed-forward block:

* Pre-norm layers (Whisper, XLS-R, MMS, the large HuBERT and WavLM): ``h' = h + A(h)``, where h is the
  layer's output.
* Layers of MMS, which add a block for one language, ``h' = h + B(h)``: A takes the place of B. Rows
  without an adapter of ours keep B.
* Post-norm layers (wav2vec2-base, HuBERT base, WavLM base), which end in ``h = LN(x)``,
  ``x = FFN(y) + y``: ``h' = LN(x + A(h))``. This is MAD-X's ``A(h, r) = A(h) + r`` with the residual
  r = FFN(y), put back under the frozen norm (Pfeiffer et al. 2020, section 3.2).

A stack of adapters (a task adapter on a language adapter) applies this once for each: in post-norm
layers the second one reads LN(x + A1(h)) and adds to x + A1(h).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from madg_speech.adapters import ActiveAdapters, bottleneck
from madg_speech.backbones.base import Placement


class Injection:
    """Forward hooks at the placements of a backbone's layers, idle until adapters are in use.

    Which adapters are active is held per thread, so two threads may serve two languages through one
    backbone. Hooks are registered with ``prepend``: hidden states captured by others are the adapted
    ones. Outside :meth:`use` the hooks return the layer's own output object, untouched.
    """

    def __init__(self, placements: Sequence[Placement], adapted: Sequence[int]):
        """Hook the layers numbered in ``adapted``; ``placements`` has one entry a layer.

        Raises:
            IndexError: a number is no layer of the backbone.
        """
        wrong = [number for number in adapted if not 0 <= number < len(placements)]
        if wrong:
            last = len(placements) - 1
            raise IndexError(f"layer {wrong[0]} of a backbone with layers 0 to {last}")
        self._thread = threading.local()
        self._handles: list[RemovableHandle] = [
            placements[number].module.register_forward_hook(
                self._hook(number, placements[number]), prepend=True
            )
            for number in adapted
        ]

    def _hook(self, number: int, place: Placement) -> Any:
        # A function per layer binds its own number; a lambda over the loop would bind the last one.
        def add(module: nn.Module, inputs: Any, output: Tensor | tuple[Tensor, ...]) -> Any:
            # WavLM's layers, and all in other transformers versions, return a tuple
            hidden = output[0] if isinstance(output, tuple) else output
            adapted = self.adapt(number, hidden)
            if adapted is hidden:
                return output
            return (adapted, *output[1:]) if isinstance(output, tuple) else adapted

        def add_before_norm(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            below, normed = inputs[0], output
            for active in self._at(number):
                below = below + bottleneck(normed, number, active)
                normed = norm.forward(below)  # a call would run this hook again
            return normed

        def replace(block: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            stack, added = self._at(number), output
            for active in stack[:1]:
                ours = bottleneck(inputs[0], number, active)
                added = ours if active.on is None else torch.where(active.on, ours, output)
            for active in stack[1:]:
                added = added + bottleneck(inputs[0] + added, number, active)
            return added

        if place.instead:
            return replace
        return add_before_norm if place.before_norm else add

    @property
    def active(self) -> tuple[ActiveAdapters, ...]:
        """What this thread's forward passes use now, lowest first."""
        stack: tuple[ActiveAdapters, ...] = getattr(self._thread, "active", ())
        return stack

    def _at(self, number: int) -> list[ActiveAdapters]:
        return [active for active in self.active if number in active.weights.layers]

    def adapt(self, number: int, hidden: Tensor) -> Tensor:
        """h + A(h) with what is in use at layer ``number``, of that layer's own output [B, T, H]."""
        for active in self._at(number):
            hidden = bottleneck(hidden, number, active).add_(hidden)
        return hidden

    @contextmanager
    def use(self, *stack: ActiveAdapters | None) -> Iterator[None]:
        """Adapters for the forward passes of this thread inside the block, each on the one before.

        None among them is skipped; without any, adapters are off.
        """
        before = self.active
        self._thread.active = tuple(active for active in stack if active is not None)
        try:
            yield
        finally:
            self._thread.active = before

    def detach(self) -> None:
        """Remove every hook: the backbone is as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
