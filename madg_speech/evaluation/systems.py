"""What can be evaluated: anything that turns waveforms of a language into text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from madg_speech.audio import Waveform
from madg_speech.errors import ConfigError
from madg_speech.evaluation.swaps import (
    OTHER_LANGUAGE,
    OTHER_VECTOR,
    SWAPS,
    other_language,
    other_vector,
)
from madg_speech.languages import resolve

if TYPE_CHECKING:
    from madg_speech.model import AdaptedModel

Script = Literal["romanized", "native", "phones"]
ADAPTERS = ("generated", *SWAPS)


class System(Protocol):
    """A speech recogniser under evaluation.

    Attributes:
        name: what files and tables call it.
        max_seconds: the longest utterance that it takes.
    """

    name: str
    max_seconds: float

    def describe(self) -> dict[str, Any]:
        """What made its hypotheses, as JSON: hypotheses of another description are not resumed.

        ``script`` ("romanized", "native" or "phones") tells how its output is spelt, ``trained`` lists its
        training languages if they are known, ``backbone`` names what it stands on.
        """

    def condition(self, language: str) -> str | None:
        """What stands for ``language`` (ISO 639-3) inside: an adapter's or a token's code, or none."""

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """The text of each 16 kHz waveform."""


class CheckpointSystem:
    """A trained checkpoint with greedy decoding.

    Args:
        model: in evaluation mode, on its device.
        folder: where it was loaded from.
        adapter_from: whose adapter an utterance gets: ``generated``, its language's own; one of
            :data:`madg_speech.evaluation.swaps.SWAPS`; or a language, the same for all.
        masked: decode only phones of the language's own inventory.

    Raises:
        UnknownLanguageError: ``adapter_from`` is neither a control nor a language.
        ConfigError: the checkpoint cannot do that.
    """

    def __init__(
        self,
        model: AdaptedModel,
        folder: Path,
        adapter_from: str = "generated",
        masked: bool = False,
    ):
        self.model = model
        self.masked = masked
        self.folder = folder
        self.chosen = adapter_from if adapter_from in ADAPTERS else resolve(adapter_from).iso
        self.name = f"{_label(folder)}.{self.chosen}" + ("-inventory" if masked else "")
        if masked and model.vocabulary.kind != "phones":
            raise ConfigError(
                f"--inventory masks phones; {folder} writes {model.vocabulary.kind} text: leave it out"
            )
        self.max_seconds = model.backbone.max_seconds
        if self.chosen in OTHER_VECTOR:
            other_vector(
                self.chosen, "", model
            )  # what cannot be is said before anything is decoded
        elif self.chosen in OTHER_LANGUAGE and not model.spec.languages:
            raise ConfigError(
                f"{folder} names no training language: --adapter-from {self.chosen} has no choice"
            )

    def describe(self) -> dict[str, Any]:
        """Checkpoint and adapter; the hash is over the configuration and the weights."""
        spec = self.model.spec
        return {
            "kind": "checkpoint",
            "checkpoint": str(self.folder),
            "sha256": checkpoint_hash(self.folder),
            "source": spec.source.kind,
            "backbone": spec.backbone.name,
            "backbone_revision": spec.backbone.revision,
            "adapter_from": self.chosen,
            "decoding": "greedy CTC" + (", masked by inventory" if self.masked else ""),
            "script": self.model.vocabulary.kind,
            "trained": list(spec.languages),
        }

    def condition(self, language: str) -> str | None:
        """The language whose adapter is used."""
        if self.chosen == "none":
            return None
        if self.chosen in OTHER_LANGUAGE:
            return other_language(self.chosen, language, self.model.spec.languages)
        return language if self.chosen == "generated" else self.chosen

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """Greedy CTC text of each waveform."""
        from madg_speech.decoding.greedy import greedy_decode

        rows = [self.condition(language)] * len(waveforms)
        adapter = None
        if self.chosen in OTHER_VECTOR:
            adapter = other_vector(self.chosen, language, self.model)
        scores, lengths = self.model.log_probs(waveforms, rows, adapter)
        if self.masked:
            from madg_speech.decoding.inventory import mask_inventory

            scores = mask_inventory(scores, self.model.vocabulary, language)
        return greedy_decode(scores, lengths, self.model.vocabulary)


def load_checkpoint_systems(
    folder: Path, adapters: Sequence[str], device: str | None, inventory: bool = False
) -> list[CheckpointSystem]:
    """One model, one system for each entry of ``adapters``; ``default`` is the package's checkpoint.

    With ``inventory`` each also once masked by the language's inventory of phones.

    Raises:
        CheckpointError, BackboneError: as ``AdaptedModel.from_pretrained``.
        ConfigError, UnknownLanguageError: as ``CheckpointSystem``.
    """
    from madg_speech.model import checkpoint_folder
    from madg_speech.transcribe import load

    folder = checkpoint_folder(folder)
    model = load(folder, device=device).model
    return [
        CheckpointSystem(model, folder, adapter, masked)
        for adapter in dict.fromkeys(adapters)
        for masked in ((False, True) if inventory else (False,))
    ]


def checkpoint_hash(folder: Path) -> str:
    """SHA-256 over config.json and model.safetensors."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _label(folder: Path) -> str:
    """The folder's name, or that of the run whose ``checkpoint`` (or speech part of it) it is."""
    resolved = folder.resolve()
    if resolved.parts[-2:] == ("checkpoint", "speech"):
        resolved = resolved.parent
    return resolved.parent.name if resolved.name == "checkpoint" else resolved.name
