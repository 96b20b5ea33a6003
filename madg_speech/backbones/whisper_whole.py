"""Whisper with its decoder, as transformers has it: for what the encoder alone cannot do."""

from __future__ import annotations

import json
from typing import Any

import torch

from madg_speech.backbones.weights import CONFIG, backbone_folder
from madg_speech.errors import BackboneError


def load_whisper(name: str, revision: str | None = None) -> Any:
    """A ``WhisperForConditionalGeneration``, frozen, in float32 on the CPU.

    Args:
        name: hub id or folder.
        revision: commit or tag on the hub.

    Raises:
        BackboneError: not found, of another family, or an encoder without its decoder.
    """
    folder = backbone_folder(name, revision)
    kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if kind != "whisper":
        raise BackboneError(
            f"{name} is a {kind} model and has no text decoder: this needs a Whisper"
        )
    from transformers import WhisperForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model, report = WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    if report["missing_keys"]:  # transformers would go on with random numbers in their place
        missing = min(report["missing_keys"])
        raise BackboneError(
            f"{folder} lacks {len(report['missing_keys'])} tensors of Whisper, first {missing}: "
            "expected the encoder with its decoder"
        )
    return model.eval().requires_grad_(False)
