"""Frozen linear layers in 8-bit integers, for CPUs.

Weights are rounded once, with a scale for each output; inputs are rounded at each call, with one scale and
zero point for the whole batch. oneDNN multiplies (u8 x s8 -> s32 -> float32): about four times as fast as
float32 where the processor has VNNI. Since the scale is the batch's, a row's result depends a little on its
batch mates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from madg_speech.backbones.base import Backbone
from madg_speech.errors import ConfigError

_LEVELS = 255  # of an unsigned byte


class Int8Linear(nn.Module):
    """What ``linear`` computes, to about one percent; for inference."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight = linear.weight.detach()
        scales = weight.abs().amax(1).clamp(min=torch.finfo(weight.dtype).tiny) / 127
        whole = (weight / scales[:, None]).round().to(torch.int8)
        self.packed: Tensor = torch.ops.onednn.qlinear_prepack(whole, None)
        self.scales: Tensor = scales
        self.zeros = torch.zeros(len(scales), dtype=torch.int32)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., outputs] of float32 inputs [..., inputs]."""
        low, high = (float(end) for end in torch.aminmax(inputs))
        low, high = min(low, 0.0), max(high, 0.0)  # zero itself must be exact
        scale = (high - low) / _LEVELS or 1.0
        zero = round(-low / scale)
        whole = torch.mul(inputs, 1 / scale).round_().add_(zero).clamp_(0, _LEVELS).to(torch.uint8)
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            whole,
            scale,
            zero,
            self.packed,
            self.scales,
            self.zeros,
            self.bias,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return product


def to_int8(backbone: Backbone) -> None:
    """Replace the linear layers of a frozen Whisper backbone's layers, for good.

    Raises:
        ConfigError: not on a CPU, another family, or a PyTorch without oneDNN.
    """
    from madg_speech.backbones.whisper import WhisperBackbone

    if not isinstance(backbone, WhisperBackbone):
        raise ConfigError(
            f"--precision int8 is for Whisper's encoder, {backbone.name} is another; float32 always works"
        )
    if next(backbone.parameters()).device.type != "cpu":
        raise ConfigError(
            "--precision int8 is for CPUs; on a GPU leave it out, or give --device cpu"
        )
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        raise ConfigError(
            "--precision int8 needs a PyTorch with oneDNN (x86-64 wheels have it); float32 always works"
        )
    for layer in backbone.layers:
        for name, module in list(layer.named_modules()):
            if isinstance(module, nn.Linear):
                layer.set_submodule(name, Int8Linear(module))
