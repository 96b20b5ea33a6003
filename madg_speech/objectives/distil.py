"""Distillation: a source learns to give what existing per-language adapters are, or do.

Both losses are shares: 0 is perfect, 1 is what the plainest rival reaches.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from madg_speech.adapters import AdapterWeights


def weight_scales(targets: AdapterWeights) -> dict[str, Tensor]:
    """Mean squared deviation from the languages' mean, [N, 1...] for each tensor, a layer each.

    With one language, or tensors that all languages share, the mean square itself.
    """
    scales = {}
    for name, target in targets.tensors.items():
        inner = [0, *range(2, target.ndim)]
        spread = (target - target.mean(0)).square().mean(inner, keepdim=True)
        whole = target.square().mean(inner, keepdim=True)
        scales[name] = torch.where(spread > 1e-6 * whole, spread, whole).clamp(min=1e-12)
    return scales


def weight_loss(
    made: AdapterWeights, targets: AdapterWeights, scales: Mapping[str, Tensor]
) -> Tensor:
    """Squared error over ``scales``, tensors and layers weighing alike: 1 for the mean adapter."""
    errors = [
        ((made.tensors[name] - target).square() / scales[name]).mean()
        for name, target in targets.tensors.items()
    ]
    return torch.stack(errors).mean()


def hidden_loss(made: Tensor, target: Tensor, plain: Tensor, lengths: Tensor) -> Tensor:
    """Squared error of hidden states over that of no adapter at all: the missing share of the effect.

    Args:
        made: [B, T, H] with the learned adapters.
        target: [B, T, H] with the existing ones.
        plain: [B, T, H] without adapters.
        lengths: [B] frames; those beyond do not count.
    """
    frames = torch.arange(made.shape[1], device=made.device)[None] < lengths[:, None].to(
        made.device
    )
    error = (made - target).square().mean(-1)[frames].sum()
    effect = (plain - target).square().mean(-1)[frames].sum()
    return error / effect.clamp(min=1e-12)
