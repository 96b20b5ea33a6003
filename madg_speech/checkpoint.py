"""A checkpoint's folder: where it is, and what its files say. No model is built here.

Layout: ``config.json``, ``model.safetensors``, ``vocab.json`` (CTC) and a model card, ``README.md``. A
joint run's folder has one such folder each for ``speech`` and ``text``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.files import first_problem
from madg_speech.config.objectives import ObjectiveName, Seq2SeqConfig
from madg_speech.config.section import Section
from madg_speech.config.source import SourceConfig
from madg_speech.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, CONFIG, VOCABULARY, CARD = "model.safetensors", "config.json", "vocab.json", "README.md"
Medium = Literal["speech", "text"]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
DEFAULT = Path(__file__).parent / "checkpoints" / "default"


class ModelConfig(Section):
    """What ``config.json`` of a checkpoint says; the backbone is named, not copied."""

    format: int = 1
    backbone: BackboneConfig
    hidden_size: int
    layers: int
    source: SourceConfig
    objective: ObjectiveName = Field("ctc", description="What the source was trained for.")
    seq2seq: Seq2SeqConfig | None = Field(None, description="Of objective seq2seq.")
    languages: tuple[str, ...] = Field((), description="ISO 639-3 codes trained on.")
    expected_cer: dict[str, float] = Field(
        default_factory=dict, description="Measured CER per group: trained, clade, unrelated."
    )


def part_of(folder: Path, medium: Medium) -> Path:
    """Where the model of ``medium`` lies in a joint checkpoint; any other checkpoint as it is."""
    inner = folder / medium
    return inner if (inner / CONFIG).is_file() and not (folder / CONFIG).is_file() else folder


def checkpoint_folder(name: Path | str) -> Path:
    """The folder of a model of speech: ``default`` is the one that the package carries.

    ``user/name``, where there is no such folder, is a repository on the Hugging Face hub; what is
    fetched lies in the hub's own cache.

    Raises:
        CheckpointError: this build carries no default checkpoint, or the hub has none of that name.
    """
    if str(name) != "default":
        is_hub_id = isinstance(name, str) and HUB_ID.fullmatch(name) and not Path(name).exists()
        return _from_hub(str(name)) if is_hub_id else part_of(Path(name), "speech")
    if not (DEFAULT / CONFIG).is_file():
        raise CheckpointError(
            "this build of madg-speech carries no default checkpoint: train one with `madg-speech "
            "pretrain` and give its folder (--checkpoint FOLDER)"
        )
    return DEFAULT


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    files = [CONFIG, WEIGHTS, VOCABULARY, CARD]
    try:
        return Path(snapshot_download(name, allow_patterns=files))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{name}: no such folder, and the Hugging Face hub did not give it ({reason}); a "
            "checkpoint is `default`, a folder, or user/name on the hub"
        ) from None


def read_model_config(folder: Path) -> ModelConfig:
    """Read a checkpoint's ``config.json`` without loading any weight; CheckpointError if it cannot be."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG}")
    try:
        return ModelConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The stored tensors, numbers in float32; CheckpointError if the file is missing or broken."""
    from safetensors import SafetensorError  # lazily: `languages` reads a config.json without torch
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {WEIGHTS}")
    try:
        stored = load_file(path)
        return {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_card(folder: Path) -> str:
    """The checkpoint's model card; empty where it has none."""
    path = folder / CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""
