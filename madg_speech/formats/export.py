"""A checkpoint's adapters, one or many languages at once, as files that other tools load."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from madg_speech.cache import atomic_path
from madg_speech.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from madg_speech.conditioning import Conditioning
    from madg_speech.model import AdaptedModel


class ExportFormat(StrEnum):
    """What to write."""

    safetensors = "safetensors"
    adapterhub = "adapterhub"
    mms = "mms"
    onnx = "onnx"


def export(
    model: AdaptedModel,
    conditionings: Sequence[Conditioning],
    form: ExportFormat,
    folder: Path,
    checkpoint: str = "default",
) -> None:
    """Write the adapters of ``conditionings`` to a new folder, whole or not at all.

    Args:
        model: what made them, on the CPU.
        conditionings: one a language; see :func:`madg_speech.conditioning.condition`.
        form: see the module of that name in :mod:`madg_speech.formats`.
        folder: must not exist, or be empty. mms: the model and its adapters; else a folder a
            language.
        checkpoint: where ``model`` was loaded from: our own format notes it.

    Raises:
        ConfigError: the folder holds something, a language is named twice, a package is missing.
        CheckpointError: the format cannot hold this checkpoint's adapters.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: give another -o, or remove it")
    found = {one.label: one.weights for one in conditionings}
    if len(found) < len(conditionings):
        raise ConfigError(
            f"{len(conditionings)} languages were asked for, but they are {', '.join(found)}: name "
            "each once"
        )
    adapters = {label: weights for label, weights in found.items() if weights is not None}
    if not adapters and form is not ExportFormat.onnx:
        raise CheckpointError(f"this checkpoint has no adapters: nothing to write as {form.value}")
    with atomic_path(folder) as draft:
        draft.mkdir()
        if form is ExportFormat.safetensors:
            from madg_speech.formats.native import write_native

            write_native(checkpoint, adapters, draft)
        elif form is ExportFormat.adapterhub:
            from madg_speech.formats.adapterhub import write_adapterhub

            write_adapterhub(model, adapters, draft)
        elif form is ExportFormat.mms:
            from madg_speech.formats.mms import write_mms

            write_mms(model, adapters, draft)
        else:
            from madg_speech.formats.onnx import write_onnx

            write_onnx(model, found, draft)
