"""Which adapter a request gets: generated for a language, from a vector, from a folder, or none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.adapters import AdapterWeights
from madg_speech.errors import CheckpointError, ConfigError, UnknownLanguageError
from madg_speech.languages import Language, resolve
from madg_speech.typology import read_vector

NONE = "none"
ADAPTER, ADAPTER_FACTS = "adapter.safetensors", "adapter.json"


@dataclass(frozen=True)
class Conditioning:
    """An adapter ready for use, and where it came from.

    Attributes:
        label: ISO 639-3 code of what is spoken, or the caller's own label.
        language: None for a label that is no known language.
        origin: code of the language whose vector made the adapter, ``none``, or a path.
        weights: of one language; None for no adapter.
    """

    label: str
    language: Language | None
    origin: str
    weights: AdapterWeights | None

    @property
    def row(self) -> str | None:
        """What a model is told of a row: a language for the adapter, None for none."""
        return None if self.weights is None else self.label


@torch.inference_mode()
def condition(
    model: AdaptedEncoder,
    lang: str,
    *,
    adapter_from: str | None = None,
    vector: Path | str | None = None,
    adapter: Path | str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Conditioning:
    """Make the adapter for ``lang``, or the one asked for in its place.

    Args:
        model: whose source generates, and whose shape an adapter must have.
        lang: code or name; with ``vector`` or ``adapter`` any label.
        adapter_from: code or name of another language, or ``none`` for no adapter.
        vector: file that :func:`madg_speech.typology.read_vector` reads.
        adapter: folder with ``adapter.safetensors`` (one language) and perhaps ``adapter.json``.
        notify: gets remarks such as which individual language stands for a macrolanguage.

    Raises:
        UnknownLanguageError: no language of that name, or it has no vector.
        ConfigError: options that exclude each other, a vector for a source that uses none.
        DataError: the vector cannot be read.
        CheckpointError: the adapter is missing, broken or of another shape.
    """
    given = {"--adapter-from": adapter_from, "--vector": vector, "--adapter": adapter}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other: give one")
    if vector is not None:
        return _from_vector(model, lang, Path(vector))
    if adapter is not None:
        weights = _load_adapter(model, Path(adapter))
        return Conditioning(*_label(lang), str(adapter), weights)
    language = resolve(lang, notify)
    if model.source is None or adapter_from == NONE:
        return Conditioning(language.iso, language, NONE, None)
    origin = language.iso if adapter_from is None else resolve(adapter_from, notify).iso
    return Conditioning(language.iso, language, origin, model.source([origin]))


def _label(lang: str) -> tuple[str, Language | None]:
    try:
        language = resolve(lang)
    except UnknownLanguageError:
        return lang, None
    return language.iso, language


def _from_vector(model: AdaptedEncoder, lang: str, path: Path) -> Conditioning:
    typology = getattr(model.source, "typology", None)
    if typology is None:
        raise ConfigError(
            f"--vector {path}: this checkpoint's adapters ({model.spec.source.kind}) are not "
            "generated from vectors; leave the option out, or choose another checkpoint"
        )
    label, language = _label(lang)
    # A copy shares all tensors: the model's own source keeps its vectors, whoever else uses it now.
    source = copy.copy(model.source)
    source.typology = typology.with_vector(label, read_vector(path))
    return Conditioning(label, language, str(path), source([label]))


def _load_adapter(model: AdaptedEncoder, folder: Path) -> AdapterWeights:
    if not (folder / ADAPTER).is_file():
        raise CheckpointError(f"{folder} is no adapter folder: it has no {ADAPTER}")
    weights, languages = AdapterWeights.load(folder / ADAPTER)
    if len(languages) != 1:
        raise CheckpointError(f"{folder / ADAPTER} holds {len(languages)} languages; expected one")
    if model.source is None or weights.shape != model.source.shape:
        expected = "no adapter" if model.source is None else str(model.source.shape)
        raise CheckpointError(
            f"{folder / ADAPTER} fits another checkpoint ({refined_from(folder)}): it has "
            f"{weights.shape}, this checkpoint takes {expected}"
        )
    return weights.to(model.device)


def refined_from(folder: Path) -> str:
    """The checkpoint that ``adapter.json`` names; ``default`` where it is silent."""
    try:
        return str(json.loads((folder / ADAPTER_FACTS).read_text("utf-8"))["checkpoint"])
    except (OSError, ValueError, TypeError, KeyError):
        return "default"
