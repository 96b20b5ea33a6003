"""Adapters made elsewhere become a checkpoint of ours with one adapter set a language.

It can be evaluated as a per-language baseline, and is what ``objective: distil`` learns from. A
checkpoint has one CTC head for all languages: it is taken along where every adapter came with the same
head over our vocabulary (as our own exports do). MMS's published adapters have a head each, in native
script; then the head is left untrained, and said to be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from madg_speech.adapters import AdapterWeights
from madg_speech.backbones import load_backbone
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig, UnseenConfig
from madg_speech.errors import CheckpointError, UnknownLanguageError
from madg_speech.formats import adapterhub, mms
from madg_speech.languages import resolve
from madg_speech.model import AdaptedModel
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Found:
    """One adapter from a file; ``head`` is None unless it stands over our vocabulary."""

    weights: AdapterWeights
    head: dict[str, Tensor] | None
    backbone: str


def adopt(
    folders: Sequence[Path],
    languages: Sequence[str] = (),
    backbone: str | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> AdaptedModel:
    """Build a per-language model from MMS or AdapterHub folders.

    Args:
        folders: an MMS model with its ``adapter.*.safetensors``, AdapterHub folders, or folders of
            these. A language is known by the adapter's name.
        languages: only these (code or name); all that are found when left out.
        backbone: in place of the MMS folder, or of the model that AdapterHub notes.
        notify: gets remarks: names that are no language, a head that could not be taken along.

    Raises:
        CheckpointError: nothing to read, adapters of different shapes or places, another backbone.
        UnknownLanguageError: one of ``languages`` is not there.
    """
    wanted = {resolve(language).iso for language in languages}
    found: dict[str, Found] = {}
    for name, read in _readers(folders, notify):
        if name in found:
            notify(f"left out: a second adapter of {name}")
        elif not wanted or name in wanted:
            found[name] = read()
    if missing := sorted(wanted - found.keys()):
        raise UnknownLanguageError(
            f"no adapter of {', '.join(missing)} in {', '.join(map(str, folders))}"
        )
    if not found:
        raise CheckpointError(
            f"{', '.join(map(str, folders))}: no adapter found; expected adapter.LANG.safetensors "
            "(MMS) or folders with adapter_config.json (AdapterHub), named by language"
        )
    first = next(iter(found.values()))
    shape = first.weights.shape
    for name, one in found.items():
        if one.weights.shape != shape:
            raise CheckpointError(
                f"the adapter of {name} has {one.weights.shape}, others {shape}: import those alike"
            )
    chosen = backbone or first.backbone
    encoder = load_backbone(chosen)
    if encoder.hidden_size != shape.hidden_size or shape.layers[-1] >= len(encoder.layers):
        raise CheckpointError(
            f"{chosen} has {len(encoder.layers)} layers of {encoder.hidden_size}; these adapters are "
            f"for layers up to {shape.layers[-1]} of {shape.hidden_size}: give their --backbone"
        )
    if not shape.norm and not isinstance(encoder, WhisperBackbone):
        raise CheckpointError(f"{chosen} is no Whisper model, these adapters are for one")
    codes = tuple(sorted(found))
    source = SourceConfig(
        kind="per-language",
        layers=shape.layers,
        bottleneck=shape.bottleneck,
        norm=shape.norm,
        unseen=UnseenConfig(rule="error"),
    )
    spec = ModelConfig(
        backbone=BackboneConfig(name=chosen),
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        source=source,
        languages=codes,
    )
    table = build_source(source, encoder.hidden_size, len(encoder.layers), codes)
    assert table is not None
    model = AdaptedModel(encoder, table, Vocabulary.romanized(), spec)
    for name in shape.tensors:
        rows = torch.cat([found[code].weights.tensors[name] for code in codes])
        table.get_parameter(name).data.copy_(rows)
    head = _common_head([found[code].head for code in codes])
    if head is None:
        notify(
            "the adapters bring no common head over romanised text: this checkpoint's head is "
            "untrained. Distil from it, or train a head; it cannot transcribe as it is "
            "(`evaluate --baseline mms:FOLDER` scores MMS adapters with their own heads)"
        )
    else:
        model.head.load_state_dict(head)
    model.card = _card(codes, folders, chosen, head is not None)
    return model.eval()


def _readers(
    folders: Sequence[Path], notify: Callable[[str], None]
) -> list[tuple[str, Callable[[], Found]]]:
    """(ISO 639-3 code, how to read it) of each adapter below ``folders`` that is named by a language."""
    readers: list[tuple[str, Callable[[], Found]]] = []

    for folder in folders:
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is no folder")
        vocabularies = _vocabularies(folder)
        codes = mms.mms_languages(folder)
        chosen = mms.by_iso(codes)
        readers += [
            (iso, partial(_from_mms, folder, code, vocabularies)) for iso, code in chosen.items()
        ]
        if rest := sorted(set(codes) - set(chosen.values())):
            notify(f"left out, no language or a second script of one: {', '.join(rest)}")
        for config in sorted(
            [*folder.glob(adapterhub.CONFIG), *folder.glob(f"*/{adapterhub.CONFIG}")]
        ):
            one = config.parent
            name = json.loads(config.read_text("utf-8")).get("name", one.name)
            try:
                readers.append((resolve(name).iso, partial(_from_adapterhub, one)))
            except UnknownLanguageError:
                notify(f"left out: {name!r} names no language")
    return readers


def _vocabularies(folder: Path) -> Mapping[str, object]:
    path = folder / "vocab.json"
    vocabularies: Mapping[str, object] = (
        json.loads(path.read_text("utf-8")) if path.is_file() else {}
    )
    return vocabularies


def _from_mms(folder: Path, code: str, vocabularies: Mapping[str, object]) -> Found:
    weights, head = mms.read_mms(folder, code)
    ours = vocabularies.get(code) == mms.tokens(Vocabulary.romanized())
    return Found(weights, head if ours else None, str(folder.resolve()))


def _from_adapterhub(folder: Path) -> Found:
    weights, described = adapterhub.read_adapter(folder)
    head = adapterhub.read_head(folder)
    if head is not None and Vocabulary.load(folder / "vocab.json") != Vocabulary.romanized():
        head = None
    return Found(weights, head, str(described.get("model_name") or ""))


def _common_head(heads: Sequence[dict[str, Tensor] | None]) -> dict[str, Tensor] | None:
    first = heads[0]
    alike = first is not None and all(
        head is not None and all(torch.equal(head[name], first[name]) for name in first)
        for head in heads
    )
    return first if alike else None


def _card(codes: Sequence[str], folders: Sequence[Path], backbone: str, headed: bool) -> str:
    head = "taken along" if headed else "**untrained**: this checkpoint cannot transcribe as it is"
    return f"""# Imported adapters for {backbone}

One adapter set a language, read by madg-speech from {", ".join(folder.name for folder in folders)}:
{" ".join(codes)}. CTC head: {head}. Not trained or scored here; the licence is that of the adapters'
own makers.
"""
