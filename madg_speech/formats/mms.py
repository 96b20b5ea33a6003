"""MMS: ``adapter.<lang>.safetensors`` files that transformers' ``Wav2Vec2ForCTC.load_adapter`` reads.

The format (Pratap et al. 2023, arXiv 2305.13516; transformers' ``modeling_wav2vec2.py``): one file a
language with the blocks ``wav2vec2.encoder.layers.N.adapter_layer.{norm,linear_1,linear_2}`` of every
layer and the CTC head ``lm_head``, beside the model they belong to; ``vocab.json`` is nested, {language:
{token: number}}; ``adapter_attn_dim`` in ``config.json`` is the bottleneck. A block adds
linear_2(relu(linear_1(norm(h)))) to a layer's output: our bottleneck with a norm of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from babel import Locale
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from madg_speech.adapters import AdapterWeights
from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone
from madg_speech.errors import CheckpointError, UnknownLanguageError
from madg_speech.language_data.tables import script_of
from madg_speech.languages import resolve
from madg_speech.model import AdaptedModel
from madg_speech.text.vocabulary import Vocabulary

BLOCK = "wav2vec2.encoder.layers.{}.adapter_layer."
PARTS = {
    "norm_weight": "norm.weight",
    "norm_bias": "norm.bias",
    "down": "linear_1.weight",
    "down_bias": "linear_1.bias",
    "up": "linear_2.weight",
    "up_bias": "linear_2.bias",
}
PAD, SPACE, UNKNOWN = "<pad>", "|", "<unk>"


def write_mms(model: AdaptedModel, adapters: Mapping[str, AdapterWeights], folder: Path) -> None:
    """Write a whole model that stock transformers loads with ``target_lang``; one adapter a language.

    Layers without an adapter of ours get the backbone's own block if it has any, else one that adds
    zero. The outputs are those of ``model``, since both compute the same.

    Args:
        model: on a pre-norm ("stable layer norm") wav2vec2, its adapters with a norm.
        adapters: language code -> weights of that one language.
        folder: exists and is empty.

    Raises:
        CheckpointError: a model whose adapters MMS's blocks cannot express.
    """
    from transformers import (
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    backbone = _check(model)
    shape = model.source.shape
    config = type(backbone.model.config).from_dict(backbone.model.config.to_dict())
    config.adapter_attn_dim = shape.bottleneck
    config.vocab_size = model.vocabulary.size
    config.pad_token_id = model.vocabulary.blank
    whole = Wav2Vec2ForCTC(config)
    own = {f"wav2vec2.{name}": value for name, value in backbone.model.state_dict().items()}
    missing = whole.load_state_dict(own, strict=False).missing_keys
    head = {f"lm_head.{name}": value.detach() for name, value in model.head.state_dict().items()}
    blocks: dict[str, dict[str, Tensor]] = {}
    for language, weights in adapters.items():
        blocks[language] = head | _idle(whole, missing) | _blocks(weights)
        save_file(
            {name: value.contiguous().cpu() for name, value in blocks[language].items()},
            folder / f"adapter.{language}.safetensors",
        )
    first = next(iter(adapters))
    whole.load_state_dict(blocks[first], strict=False)
    whole.save_pretrained(folder)
    nested = {language: tokens(model.vocabulary) for language in adapters}
    (folder / "vocab.json").write_text(json.dumps(nested, ensure_ascii=False, indent=1) + "\n")
    tokenizer = Wav2Vec2CTCTokenizer(
        folder / "vocab.json",
        target_lang=first,
        bos_token=None,
        eos_token=None,
        unk_token=UNKNOWN,
        pad_token=PAD,
        word_delimiter_token=SPACE,
    )
    extractor = Wav2Vec2FeatureExtractor(
        do_normalize=backbone.front_end.normalize, return_attention_mask=True
    )
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    (folder / "README.md").write_text(README.format(languages=" ".join(adapters), first=first))


def _check(model: AdaptedModel) -> Wav2Vec2Backbone:
    backbone = model.backbone
    if not isinstance(backbone, Wav2Vec2Backbone) or backbone.model.config.model_type != "wav2vec2":
        raise CheckpointError(
            f"--format mms needs a wav2vec2, XLS-R or MMS backbone; this checkpoint stands on "
            f"{backbone.name}. Any backbone goes to --format onnx, Whisper also to adapterhub"
        )
    if not backbone.pre_norm:
        raise CheckpointError(
            f"--format mms: {backbone.name} has its layer norms after each block, MMS's adapters are "
            "read on models with norms before (do_stable_layer_norm: XLS-R, MMS, wav2vec2-large-lv60)"
        )
    if model.source is None or not model.source.shape.norm:
        raise CheckpointError(
            "--format mms: MMS's blocks begin with a layer norm and this checkpoint's adapters have "
            "none; train one with source.norm: true"
        )
    return backbone


def _idle(whole: torch.nn.Module, missing: list[str]) -> dict[str, Tensor]:
    """Blocks of all layers before ours are put in: the backbone's own, or ones that add zero."""
    state = whole.state_dict()
    blocks = {name: value for name, value in state.items() if ".adapter_layer." in name}
    for name in missing:
        if ".linear_2." in name:
            blocks[name] = torch.zeros_like(blocks[name])
    return blocks


def _blocks(weights: AdapterWeights) -> dict[str, Tensor]:
    return {
        BLOCK.format(layer) + part: weights.tensors[name][0, place].detach()
        for place, layer in enumerate(weights.layers)
        for name, part in PARTS.items()
    }


def tokens(vocabulary: Vocabulary) -> dict[str, int]:
    """Symbols as MMS names them: the blank is ``<pad>``, the space ``|``."""
    names = {0: PAD}
    return {
        names.get(number, SPACE if symbol == " " else symbol): number
        for number, symbol in enumerate(vocabulary.symbols)
    }


def read_mms(folder: Path, language: str) -> tuple[AdapterWeights, dict[str, Tensor]]:
    """Read one language's file: the blocks, and the head's ``weight`` [V, H] and ``bias`` [V].

    Raises:
        CheckpointError: missing, broken, or not MMS's keys; names those on disk.
    """
    path = folder / f"adapter.{language}.safetensors"
    try:
        state = load_file(path)
    except FileNotFoundError:
        there = ", ".join(mms_languages(folder)) or "none"
        raise CheckpointError(f"{path} not found; languages in that folder: {there}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from None
    stem, _, tail = BLOCK.partition("{}")
    layers = sorted({int(n.removeprefix(stem).split(".")[0]) for n in state if n.startswith(stem)})
    try:
        tensors = {
            name: torch.stack([state[BLOCK.format(layer) + part] for layer in layers])[None].float()
            for name, part in PARTS.items()
        }
        head = {name: state[f"lm_head.{name}"].float() for name in ("weight", "bias")}
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: no adapter of MMS ({error}); expected keys {stem}N{tail}* and lm_head.*"
        ) from None
    return AdapterWeights(tuple(layers), **tensors), head


def mms_languages(folder: Path) -> list[str]:
    """The codes that MMS gives its files in ``folder``, sorted."""
    return sorted(file.name.split(".")[1] for file in folder.glob("adapter.*.safetensors"))


def by_iso(codes: Iterable[str]) -> Mapping[str, str]:
    """ISO 639-3 -> a model's own code; codes that name no URIEL language are left out.

    MMS writes some languages in several scripts or dialects (``azj-script_latin``): the language's
    usual script wins, then the first by name.
    """
    found: dict[str, tuple[bool, str]] = {}
    for code in codes:
        language, _, variety = code.partition("-")
        try:
            iso = resolve(language).iso
        except UnknownLanguageError:
            continue
        script = Locale("en").scripts.get(script_of(iso) or "", "").lower()
        rank = (variety != "" and variety != f"script_{script}", code)
        found[iso] = min(rank, found.get(iso, rank))
    return {iso: code for iso, (_, code) in sorted(found.items())}


README = """# MMS-style adapters: {languages}

A wav2vec2 CTC model with one adapter file a language, written by madg-speech. Output: romanised text.

```python
import torch
from transformers import AutoProcessor, Wav2Vec2ForCTC

folder = "."  # this folder
processor = AutoProcessor.from_pretrained(folder, target_lang="{first}")
model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="{first}").eval()
inputs = processor(samples, sampling_rate=16000, return_tensors="pt")  # mono, 16 kHz
with torch.no_grad():
    print(processor.batch_decode(model(**inputs).logits.argmax(-1)))

# another language of this folder
processor.tokenizer.set_target_lang("{first}")
model.load_adapter("{first}")
```
"""
