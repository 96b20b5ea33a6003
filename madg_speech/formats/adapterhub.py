"""AdapterHub: folders that ``model.load_adapter`` of the `adapters` library reads (1.3.0).

A folder has ``adapter_config.json`` and ``adapter.safetensors``. The library's ``SeqBnConfig`` computes
what :mod:`madg_speech.injection` does: in the pre-norm layers of Whisper h' = A(h) + h, in the post-norm
layers of BERT and XLM-R h' = LN(A(h) + x), where h = LN(x). It has no adapters for wav2vec2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from madg_speech.adapters import AdapterWeights
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.errors import CheckpointError
from madg_speech.model import AdaptedModel

CONFIG, WEIGHTS, HEAD = "adapter_config.json", "adapter.safetensors", "ctc_head.safetensors"
PARTS = {
    "down": "adapter_down.0.weight",
    "down_bias": "adapter_down.0.bias",
    "up": "adapter_up.weight",
    "up_bias": "adapter_up.bias",
}


@dataclass(frozen=True)
class Family:
    """How the library names the adapters of one model type.

    Attributes:
        model_class: its class with adapters.
        place: where the adapters of encoder layer {} hang.
    """

    model_class: str
    place: str


FAMILIES = {
    "whisper": Family("WhisperAdapterModel", "model.encoder.layers.{}.output_adapters"),
    "bert": Family("BertAdapterModel", "bert.encoder.layer.{}.output"),
    "xlm-roberta": Family("XLMRobertaAdapterModel", "roberta.encoder.layer.{}.output"),
}


def write_adapterhub(
    model: AdaptedModel, adapters: Mapping[str, AdapterWeights], folder: Path
) -> None:
    """Write ``folder/<lang>``, one AdapterHub folder a language, with our CTC head beside it.

    Raises:
        CheckpointError: a backbone that the library has no adapters for, or adapters with a norm.
    """
    if not isinstance(model.backbone, WhisperBackbone):
        raise CheckpointError(
            f"--format adapterhub: the adapters library has no adapters for {model.backbone.name}; "
            "a Whisper checkpoint can be exported, wav2vec2 models with --format mms or onnx"
        )
    whisper = model.backbone.encoder.shape
    layers = whisper.encoder_layers + whisper.decoder_layers
    head = {name: value.detach().cpu() for name, value in model.head.state_dict().items()}
    for language, weights in adapters.items():
        target = folder / language
        write_adapter(weights, language, target, "whisper", layers, model.spec.backbone.name)
        save_file(head, target / HEAD)
        model.vocabulary.save(target / "vocab.json")
        backbone = model.spec.backbone.name
        (target / "README.md").write_text(README.format(language=language, backbone=backbone))


def write_adapter(
    weights: AdapterWeights, name: str, folder: Path, model_type: str, layers: int, backbone: str
) -> None:
    """Write one adapter.

    Args:
        weights: of one language, without norm.
        name: what the library calls it.
        folder: made.
        model_type: ``whisper``, ``bert`` or ``xlm-roberta``.
        layers: of the whole model, a decoder's included (they are numbered after the encoder's).
        backbone: hub id that the library notes.

    Raises:
        CheckpointError: adapters with a norm.
    """
    family, shape = FAMILIES[model_type], weights.shape
    if shape.norm:
        raise CheckpointError(
            "--format adapterhub: these adapters have a norm (source.norm: true) that AdapterHub's "
            "Pfeiffer adapters lack; --format mms is made for them"
        )
    folder.mkdir(parents=True)
    state = {
        _key(family, layer, name, part): tensor[0, place].detach().contiguous().cpu()
        for key, part in PARTS.items()
        for tensor in [weights.tensors[key]]
        for place, layer in enumerate(weights.layers)
    }
    save_file(state, folder / WEIGHTS)
    config = {
        "config": {
            **_SWITCHES,
            "leave_out": [n for n in range(layers) if n not in weights.layers],
            # the library takes floor(hidden / factor): half a unit more is safe from rounding
            "reduction_factor": shape.hidden_size / (shape.bottleneck + 0.5),
        },
        "hidden_size": shape.hidden_size,
        "model_class": family.model_class,
        "model_name": backbone,
        "model_type": model_type,
        "name": name,
        "version": "adapters.1.3.0",
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def read_adapter(folder: Path) -> tuple[AdapterWeights, dict[str, Any]]:
    """Read one adapter, and what its ``adapter_config.json`` says.

    Raises:
        CheckpointError: no such files, or an adapter of another kind (another place, activation,
            parallel, invertible...); names what differs.
    """
    try:
        described = json.loads((folder / CONFIG).read_text("utf-8"))
        state = load_file(folder / WEIGHTS)
        family = FAMILIES[described["model_type"]]
        config, name = described["config"], described["name"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: no AdapterHub adapter of {', '.join(FAMILIES)} ({error}); expected {CONFIG} "
            f"and {WEIGHTS}"
        ) from None
    other = {key: config[key] for key, v in _SWITCHES.items() if config.get(key, v) != v}
    if other:
        expected = {key: _SWITCHES[key] for key in other}
        raise CheckpointError(f"{folder}: an adapter with {other}; only {expected} can be read")
    tail = _key(family, 0, name, PARTS["up"]).partition("0")[2]
    stem = family.place.partition("{}")[0]
    layers = sorted(
        int(key.removeprefix(stem).removesuffix(tail))
        for key in state
        if key.startswith(stem) and key.endswith(tail)
    )
    try:
        tensors = {
            key: torch.stack([state[_key(family, n, name, part)] for n in layers])[None].float()
            for key, part in PARTS.items()
        }
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: no bottleneck adapter ({error})") from None
    return AdapterWeights(tuple(layers), **tensors), described


def read_head(folder: Path) -> dict[str, Tensor] | None:
    """The CTC head that :func:`write_adapterhub` puts beside an adapter; None where there is none."""
    path = folder / HEAD
    return load_file(path) if path.is_file() else None


def _key(family: Family, layer: int, name: str, part: str) -> str:
    return f"{family.place.format(layer)}.adapters.{name}.{part}"


_SWITCHES = {
    "mh_adapter": False,
    "output_adapter": True,
    "cross_adapter": False,
    "is_parallel": False,
    "original_ln_before": True,
    "original_ln_after": True,
    "residual_before_ln": True,
    "ln_before": False,
    "ln_after": False,
    "adapter_residual_before_ln": False,
    "non_linearity": "relu",
    "scaling": 1.0,
    "use_gating": False,
    "inv_adapter": None,
    "phm_layer": False,
}

README = """# AdapterHub adapter for {backbone}: {language}

Written by madg-speech. `ctc_head.safetensors` and `vocab.json` are its CTC head (romanised text), which
stands on the encoder's last hidden state; the adapters library itself loads the adapter alone.

```python
import json
import torch
from adapters import WhisperAdapterModel
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor

folder = "."  # this folder
model = WhisperAdapterModel.from_pretrained("{backbone}").eval()
model.load_adapter(folder, use_safetensors=True, set_active=True)
features = WhisperFeatureExtractor.from_pretrained("{backbone}")(
    samples, sampling_rate=16000, return_tensors="pt"  # mono, 16 kHz; padded to 30 s
).input_features
with torch.no_grad():
    hidden = model.model.encoder(features).last_hidden_state
head = load_file(f"{{folder}}/ctc_head.safetensors")
best = (hidden @ head["weight"].T + head["bias"]).argmax(-1)[0]
symbols = json.load(open(f"{{folder}}/vocab.json"))["symbols"]
path = torch.unique_consecutive(best[: len(samples) // 320 + 1])  # 50 frames a second
print("".join(symbols[i] for i in path if i))
```

madg-speech itself runs the encoder at the recording's own length, not padded to 30 s; the text can
differ by a little.
"""
