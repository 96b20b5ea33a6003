"""ONNX: waveform in, log probabilities out, one language's adapter baked in; runs without torch.

The front end is part of the graph: mono 16 kHz samples [1, N] -> log probabilities [1, T, V] over the
symbols of ``vocab.json``, 50 frames a second, batch of one, any N up to what the backbone takes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from madg_speech.adapters import ActiveAdapters, AdapterWeights
from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.mel import FLOOR, FULL, HOP, REACH, WINDOW, filter_bank
from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.model import AdaptedModel

MODEL = "model.onnx"
SHORTEST = 800  # samples, 0.05 s: fewer give no frame worth naming
_OPSET = 20


def write_onnx(
    model: AdaptedModel, adapters: Mapping[str, AdapterWeights | None], folder: Path
) -> None:
    """Write ``folder/<lang>/model.onnx`` with ``vocab.json`` and a README for each language.

    Args:
        model: on the CPU, in evaluation mode.
        adapters: language code -> weights of that one language; None for no adapter.
        folder: exists.

    Raises:
        ConfigError: the ``onnx`` and ``onnxscript`` packages are not installed.
        CheckpointError: a WavLM backbone.
    """
    for language, weights in adapters.items():
        target = folder / language
        target.mkdir()
        export_graph(model, weights, target / MODEL)
        model.vocabulary.save(target / "vocab.json")
        seconds = f"{model.backbone.max_seconds:g}"
        (target / "README.md").write_text(README.format(language=language, seconds=seconds))


def export_graph(model: AdaptedModel, weights: AdapterWeights | None, path: Path) -> None:
    """Trace front end, encoder, adapter and head into one file; raises as :func:`write_onnx`."""
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ConfigError(
            "--format onnx needs two more packages: pip install 'madg-speech[onnx]'"
        ) from None
    recogniser = Recogniser(model, weights).eval()
    longest = int(model.backbone.max_seconds * SAMPLE_RATE)
    samples = torch.export.Dim("samples", min=SHORTEST, max=longest)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter's own, about its insides
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            recogniser,
            (torch.zeros(1, SAMPLE_RATE),),
            path,
            input_names=["samples"],
            output_names=["log_probs"],
            dynamic_shapes={"samples": {1: samples}},
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )


class Recogniser(nn.Module):
    """Samples to log probabilities with one adapter; every operation has an ONNX counterpart."""

    def __init__(self, model: AdaptedModel, weights: AdapterWeights | None):
        super().__init__()
        self.model = model
        self.active = None if weights is None else ActiveAdapters.select(weights, [0])
        self.front: nn.Module
        if isinstance(model.backbone, WhisperBackbone):
            self.front = _LogMel(model.backbone)
        elif isinstance(model.backbone, Wav2Vec2Backbone) and not model.backbone.position_bias:
            self.front = _Waveform(model.backbone)
        else:
            raise CheckpointError(
                f"--format onnx: the position bias of {model.backbone.name} (WavLM) is not exported; "
                "wav2vec2, HuBERT and Whisper are"
            )

    def forward(self, samples: Tensor) -> Tensor:
        """Log probabilities [1, T, V] of samples [1, N]."""
        backbone = self.model.backbone
        with self.model.injection.use(self.active):
            hidden = backbone.run_layers(self.front(samples), None)
        scores: Tensor = self.model.head(backbone.finish(hidden)).log_softmax(-1)
        return scores


class _Waveform(nn.Module):
    """What enters the first layer of a wav2vec2."""

    def __init__(self, backbone: Wav2Vec2Backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, samples: Tensor) -> Tensor:
        if self.backbone.front_end.normalize:
            spread = (samples.var(correction=0) + 1e-7).sqrt()
            samples = (samples - samples.mean()) / spread
        return self.backbone.project(samples, None)[0]


class _LogMel(nn.Module):
    """What enters the first layer of a Whisper: log-mel of the audio padded to 30 s, then cut.

    The Fourier transform is a convolution with sines and cosines: ONNX's STFT is slower at a window
    of 400, which is no power of two.
    """

    def __init__(self, backbone: WhisperBackbone):
        super().__init__()
        self.backbone = backbone
        angles = 2 * np.pi * np.outer(np.arange(REACH + 1), np.arange(WINDOW)) / WINDOW
        window = torch.hann_window(WINDOW, dtype=torch.float64).numpy()
        waves = np.concatenate([np.cos(angles), np.sin(angles)]) * window
        self.waves: Tensor
        self.filters: Tensor
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32))[:, None])
        bins = backbone.encoder.shape.num_mel_bins
        self.register_buffer("filters", torch.from_numpy(filter_bank(bins)))

    def forward(self, samples: Tensor) -> Tensor:
        frames = (samples.shape[1] + 2 * HOP - 1) // (2 * HOP) * 2
        padded = nn.functional.pad(samples, (0, FULL - samples.shape[1]))
        padded = nn.functional.pad(padded[:, None], (REACH, REACH), mode="reflect")
        cosines, sines = nn.functional.conv1d(padded, self.waves, stride=HOP).chunk(2, dim=1)
        power = (cosines.square() + sines.square())[..., :-1]
        logs = (self.filters @ power).clamp(min=FLOOR).log10()
        features = (logs.maximum(logs.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        lengths: Any = torch.zeros(1, dtype=torch.int64)  # a single row: nobody looks at them
        return self.backbone.embed(features[..., :frames], lengths)[0]


README = """# Speech recogniser for {language} in ONNX

Written by madg-speech; adapter, encoder, front end and CTC head in one graph. Input `samples`: float32
[1, N], mono, 16 kHz, in [-1, 1], 0.05 to {seconds} s. Output `log_probs`: [1, T, V], 50 frames a second,
over the symbols of `vocab.json`, of which number 0 is the CTC blank. The text is romanised.

```python
import json
from itertools import groupby
import onnxruntime
import soundfile

samples, rate = soundfile.read("talk.wav", dtype="float32")  # mono, 16 kHz
session = onnxruntime.InferenceSession("model.onnx")
symbols = json.load(open("vocab.json"))["symbols"]
(log_probs,) = session.run(None, {{"samples": samples[None]}})
best = log_probs[0].argmax(-1)
print("".join(symbols[i] for i, _ in groupby(best) if i))
```
"""
