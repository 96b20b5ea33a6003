"""Frozen audio transformers, one file per family."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from madg_speech.errors import BackboneError

if TYPE_CHECKING:
    from madg_speech.backbones.base import Backbone

# model_type in config.json -> what users call models of that type
FAMILIES = {
    "whisper": "Whisper",
    "wav2vec2": "wav2vec2, XLS-R, MMS",
    "hubert": "HuBERT",
    "wavlm": "WavLM",
}


def load_backbone(name: str, revision: str | None = None) -> Backbone:
    """Load a frozen encoder by hub id or folder, in float32 on the CPU.

    Raises:
        BackboneError: not found and not to be fetched, or of a family that is not known.
    """
    from madg_speech.backbones.weights import CONFIG, backbone_folder

    # oneDNN keeps kernels and buffers of its last 1024 convolution shapes, and here nearly every batch is
    # of a new shape: hundreds of megabytes. Read when the first convolution runs.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    folder = backbone_folder(name, revision)
    kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if kind not in FAMILIES:
        known = "; ".join(f"{names} ({type_})" for type_, names in FAMILIES.items())
        raise BackboneError(f"{name} is a {kind} model; expected an encoder of speech: {known}")
    if kind == "whisper":
        from madg_speech.backbones.whisper import WhisperBackbone

        return WhisperBackbone.from_folder(folder, name)
    from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone

    return Wav2Vec2Backbone.from_folder(folder, name)
