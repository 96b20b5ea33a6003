"""Whose language adapter a sentence gets under the task adapter: its own, or that of a baseline."""

from __future__ import annotations

from pathlib import Path

import torch

from madg_speech.adapters import AdapterWeights
from madg_speech.conditioning import ADAPTER
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.languages import resolve
from madg_speech.text_model import TextModel
from madg_speech.typology import nearest

CONDITIONS = ("generated", "none", "nearest", "mean")
REFINED = "refined:"


class Condition:
    """A rule from a sentence's language to the language adapter that it gets.

    ``generated``: what the source gives for the language itself; ``none``: no adapter; ``nearest``:
    that of the typologically nearest of the other languages that the source was trained on; ``mean``:
    that of their mean embedding; ``refined:FOLDER``: what lies in ``FOLDER/<iso>/adapter.safetensors``
    (MAD-G-ft), for those languages alone; or a language, the same for all (MAD-G-en).

    Attributes:
        name: as given, a language as ISO 639-3.

    Raises:
        UnknownLanguageError: neither a rule nor a language.
        ConfigError: the source cannot do that.
        CheckpointError: refined adapters that are missing or of another shape.
    """

    def __init__(self, name: str, model: TextModel):
        known = name in CONDITIONS or name.startswith(REFINED)
        self.name = name if known else resolve(name).iso
        self._trained = model.spec.languages
        self._mean: AdapterWeights | None = None
        self._refined: dict[str, AdapterWeights] = {}
        if model.source is None and self.name != "none":
            raise ConfigError(
                f"adapters from {self.name!r}: this checkpoint has no language adapters; say none"
            )
        if self.name == "nearest" and not self._trained:
            raise ConfigError("adapters from 'nearest': the source names no training language")
        if self.name == "mean":
            self._mean = _mean_adapter(model)
        if self.name.startswith(REFINED):
            self._refined = _load_refined(Path(name.removeprefix(REFINED)), model)

    def covers(self, language: str) -> bool:
        """Whether there is an adapter for ``language`` (ISO 639-3)."""
        return not self.name.startswith(REFINED) or language in self._refined

    def code(self, language: str) -> str | None:
        """The language whose adapter stands for ``language``; None for no adapter."""
        if self.name == "none":
            return None
        if self.name == "nearest":
            return nearest(language, self._trained, 1)[0].iso
        return language if self.name in CONDITIONS or self._refined else self.name

    def weights(self, language: str) -> AdapterWeights | None:
        """The adapter itself, where it is not the source's for :meth:`code`.

        Raises:
            CheckpointError: ``refined`` adapters, none of ``language``.
        """
        if not self.covers(language):
            raise CheckpointError(
                f"{self.name}: no adapter of {language} there, only of {', '.join(self._refined)}"
            )
        return self._refined[language] if self._refined else self._mean


def _mean_adapter(model: TextModel) -> AdapterWeights:
    source, trained = model.source, model.spec.languages
    if not hasattr(source, "embedding") or not trained:
        raise ConfigError(
            f"adapters from 'mean' need a generator and its training languages; this checkpoint has a "
            f"{model.spec.source.kind} source trained on {len(trained)} languages"
        )
    with torch.inference_mode():
        # λ is affine in t: the mean embedding is the embedding of the mean vector.
        weights: AdapterWeights = source.generate(source.embedding(trained).mean(0, keepdim=True))
    return weights


def _load_refined(folder: Path, model: TextModel) -> dict[str, AdapterWeights]:
    found = {}
    for path in sorted(folder.glob(f"*/{ADAPTER}")):
        weights, languages = AdapterWeights.load(path)
        if len(languages) != 1 or weights.shape != model.source.shape:
            raise CheckpointError(
                f"{path}: expected the adapter of one language of {model.source.shape}, not of "
                f"{len(languages)} of {weights.shape}"
            )
        found[resolve(languages[0]).iso] = weights.to(model.device)
    if not found:
        raise CheckpointError(f"{folder}: no <language>/{ADAPTER} in it")
    return found
