"""Frozen transformers of audio and of text, one file per family."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from madg_speech.errors import BackboneError

if TYPE_CHECKING:
    from madg_speech.backbones.base import Backbone
    from madg_speech.backbones.text import TextBackbone

# model_type in config.json -> what users call models of that type
FAMILIES = {
    "whisper": "Whisper",
    "wav2vec2": "wav2vec2, XLS-R, MMS",
    "hubert": "HuBERT",
    "wavlm": "WavLM",
}
TEXT_FAMILIES = {
    "bert": "BERT, mBERT, multilingual-e5",
    "xlm-roberta": "XLM-R",
    "distilbert": "DistilBERT",
}


def load_backbone(name: str, revision: str | None = None) -> Backbone:
    """Load a frozen encoder by hub id or folder, in float32 on the CPU.

    Raises:
        BackboneError: not found and not to be fetched, or of a family that is not known.
    """
    # oneDNN keeps kernels and buffers of its last 1024 convolution shapes, and here nearly every batch is
    # of a new shape: hundreds of megabytes. Read when the first convolution runs.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    folder, kind = _find(name, revision, FAMILIES, "speech")
    if kind == "whisper":
        from madg_speech.backbones.whisper import WhisperBackbone

        return WhisperBackbone.from_folder(folder, name)
    from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone

    return Wav2Vec2Backbone.from_folder(folder, name)


def load_text_backbone(
    name: str, revision: str | None = None, layers: int | None = None
) -> TextBackbone:
    """Load a frozen text encoder and its tokenizer, in float32 on the CPU.

    Args:
        name: hub id or folder.
        revision: commit or tag on the hub.
        layers: keep only so many lower layers; all when None.

    Raises:
        BackboneError: as :func:`load_backbone`; no tokenizer, or fewer layers than asked for.
    """
    from madg_speech.backbones.text import TextBackbone

    folder, _ = _find(name, revision, TEXT_FAMILIES, "text")
    return TextBackbone.from_folder(folder, name, layers)


def _find(
    name: str, revision: str | None, families: dict[str, str], medium: str
) -> tuple[Path, str]:
    from madg_speech.backbones.weights import CONFIG, backbone_folder

    folder = backbone_folder(name, revision)
    kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if kind not in families:
        known = "; ".join(f"{names} ({type_})" for type_, names in families.items())
        raise BackboneError(f"{name} is a {kind} model; expected an encoder of {medium}: {known}")
    return folder, kind
