"""The one place with hooks: puts adapters into a backbone's layers without changing the backbone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from madg_speech.adapters import ActiveAdapters, bottleneck


class Injection:
    """Forward hooks on transformer layers: ``out -> out + adapter(out)`` while adapters are in use.

    Which adapters are active is held per thread, so two threads may serve two languages through one
    backbone. Hooks are registered with ``prepend``: hidden states captured by others are the adapted
    ones. Outside :meth:`use` the hooks return the layer's own output object, untouched.
    """

    def __init__(self, layers: Sequence[nn.Module], adapted: Sequence[int]):
        """Hook the layers numbered in ``adapted``.

        Raises:
            IndexError: a number is no layer of the backbone.
        """
        wrong = [number for number in adapted if not 0 <= number < len(layers)]
        if wrong:
            raise IndexError(f"layer {wrong[0]} of a backbone with layers 0 to {len(layers) - 1}")
        self._thread = threading.local()
        self._handles: list[RemovableHandle] = [
            layers[number].register_forward_hook(self._hook(number), prepend=True)
            for number in adapted
        ]

    def _hook(self, number: int) -> Any:
        # A function per layer binds its own number; a lambda over the loop would bind the last one.
        def adapt(module: nn.Module, inputs: Any, output: Tensor | tuple[Tensor, ...]) -> Any:
            active = self.active
            if active is None:
                return output
            if isinstance(output, tuple):  # other transformers versions return tuples
                return (output[0] + bottleneck(output[0], number, active), *output[1:])
            return output + bottleneck(output, number, active)

        return adapt

    @property
    def active(self) -> ActiveAdapters | None:
        """What this thread's forward passes use now."""
        return getattr(self._thread, "active", None)

    @contextmanager
    def use(self, active: ActiveAdapters | None) -> Iterator[None]:
        """Adapters for the forward passes of this thread inside the block; None switches them off."""
        before = self.active
        self._thread.active = active
        try:
            yield
        finally:
            self._thread.active = before

    def detach(self) -> None:
        """Remove every hook: the backbone is as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
