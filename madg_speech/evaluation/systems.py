"""What can be evaluated: anything that turns waveforms of a language into text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from madg_speech.audio import Waveform
from madg_speech.choices import DecoderName
from madg_speech.decoding.whisper_tokens import LONGEST
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
    from madg_speech.adapted_encoder import AdaptedEncoder
    from madg_speech.adapters import AdapterWeights
    from madg_speech.model import AdaptedModel
    from madg_speech.objectives.seq2seq import Seq2Seq

Script = Literal["romanized", "native", "phones"]
ADAPTERS = ("generated", *SWAPS)
_WINDOWS = 8  # in a batch of full windows, however short the utterances are


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


class AdapterSystem:
    """What systems of a checkpoint have in common: whose adapter an utterance gets.

    Args:
        model: in evaluation mode, on its device.
        folder: where it was loaded from.
        adapter_from: ``generated``, its language's own; one of
            :data:`madg_speech.evaluation.swaps.SWAPS`; or a language, the same for all.

    Raises:
        UnknownLanguageError: ``adapter_from`` is neither a control nor a language.
        ConfigError: the checkpoint cannot do that.
    """

    def __init__(self, model: AdaptedEncoder, folder: Path, adapter_from: str = "generated"):
        self.model: Any = model
        self.folder = folder
        self.chosen = adapter_from if adapter_from in ADAPTERS else resolve(adapter_from).iso
        self.name = f"{_label(folder)}.{self.chosen}"
        self.max_seconds: float = model.backbone.max_seconds
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
            "trained": list(spec.languages),
        }

    def condition(self, language: str) -> str | None:
        """The language whose adapter is used."""
        if self.chosen == "none":
            return None
        if self.chosen in OTHER_LANGUAGE:
            return other_language(self.chosen, language, self.model.spec.languages)
        return language if self.chosen == "generated" else self.chosen

    def adapter(self, language: str) -> AdapterWeights | None:
        """Weights in place of those that the source gives for :meth:`condition`."""
        if self.chosen in OTHER_VECTOR:
            return other_vector(self.chosen, language, self.model)
        return None


class CheckpointSystem(AdapterSystem):
    """A checkpoint's CTC head with greedy decoding.

    Args:
        model: as in :class:`AdapterSystem`, like ``folder`` and ``adapter_from``.
        folder: of the checkpoint.
        adapter_from: whose adapter.
        masked: decode only phones of the language's own inventory.

    Raises:
        UnknownLanguageError, ConfigError: as :class:`AdapterSystem`; nothing to mask.
    """

    def __init__(
        self,
        model: AdaptedModel,
        folder: Path,
        adapter_from: str = "generated",
        masked: bool = False,
    ):
        super().__init__(model, folder, adapter_from)
        self.masked = masked
        self.name += "-inventory" if masked else ""
        if masked and model.vocabulary.kind != "phones":
            raise ConfigError(
                f"--inventory masks phones; {folder} writes {model.vocabulary.kind} text: leave it out"
            )

    def describe(self) -> dict[str, Any]:
        """Checkpoint and adapter."""
        return super().describe() | {
            "decoding": "greedy CTC" + (", masked by inventory" if self.masked else ""),
            "script": self.model.vocabulary.kind,
        }

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """Greedy CTC text of each waveform."""
        from madg_speech.decoding.greedy import greedy_decode

        rows = [self.condition(language)] * len(waveforms)
        scores, lengths = self.model.log_probs(waveforms, rows, self.adapter(language))
        if self.masked:
            from madg_speech.decoding.inventory import mask_inventory

            scores = mask_inventory(scores, self.model.vocabulary, language)
        return greedy_decode(scores, lengths, self.model.vocabulary)


class DecoderSystem(AdapterSystem):
    """A checkpoint's encoder adapters under Whisper's frozen decoder, greedy.

    The prompt is always the utterance's own language, or the mixture that stands for it.
    """

    def __init__(self, model: Seq2Seq, folder: Path, adapter_from: str = "generated"):
        super().__init__(model, folder, adapter_from)
        self.name += "-whisper"

    def describe(self) -> dict[str, Any]:
        """Checkpoint, adapter and prompt."""
        return super().describe() | {
            "decoding": f"Whisper's decoder, greedy, at most {LONGEST} tokens, prompt temperature "
            f"{self.model.decoder.temperature:g}",
            "trained_for": self.model.spec.objective,
            "script": "native",
        }

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """What Whisper's decoder writes of each waveform."""
        row, adapter = self.condition(language), self.adapter(language)
        texts: list[str] = []
        for start in range(0, len(waveforms), _WINDOWS):
            hidden, spoken = self.model.hear(waveforms[start : start + _WINDOWS])
            rows, prompts = [row] * len(hidden), [language] * len(hidden)
            written = self.model.write(hidden, spoken, prompts, rows, adapter)
            texts += [self.model.decoder.tokens.decode(one.tokens) for one in written]
        return texts


def load_checkpoint_systems(
    folder: Path,
    adapters: Sequence[str],
    device: str | None,
    inventory: bool = False,
    decoder: DecoderName | None = None,
    prompt_temperature: float | None = None,
) -> Sequence[CheckpointSystem | DecoderSystem]:
    """One model, one system for each entry of ``adapters``; ``default`` is the package's checkpoint.

    With ``inventory`` each also once masked by the language's inventory of phones. ``decoder`` and
    ``prompt_temperature`` as in :func:`madg_speech.transcribe.load`.

    Raises:
        CheckpointError, BackboneError: as ``AdaptedModel.from_pretrained``.
        ConfigError, UnknownLanguageError: as ``CheckpointSystem``.
    """
    from madg_speech.checkpoint import checkpoint_folder
    from madg_speech.model import AdaptedModel
    from madg_speech.transcribe import load

    folder = checkpoint_folder(folder)
    model = load(
        folder, device=device, decoder=decoder, prompt_temperature=prompt_temperature
    ).model
    if not isinstance(model, AdaptedModel):
        if inventory:
            raise ConfigError(
                f"--inventory masks phones of a CTC head; {folder} is used without one"
            )
        return [DecoderSystem(model, folder, adapter) for adapter in dict.fromkeys(adapters)]
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
