"""Seconds and memory of one training step at the shape of XLS-R-300M, with random weights.

Run: ``python tests/benchmarks/xlsr_300m.py [--device cuda] [--seconds 5 --rows 9]``. Prints the frozen
prefix (what the cache holds) and the rest (forward, backward, AdamW) apart. No weights are downloaded.
"""

import argparse
import resource
from time import perf_counter

import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model

from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.model import AdaptedModel
from madg_speech.objectives.ctc import ctc_loss
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary

# config.json of facebook/wav2vec2-xls-r-300m, where it differs from transformers' defaults
XLS_R_300M = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
LANGUAGES = ("swh", "yor", "deu", "fin")

parser = argparse.ArgumentParser()
parser.add_argument("--device", default="cpu")
parser.add_argument("--seconds", type=float, default=5.0)
parser.add_argument("--rows", type=int, default=9)
parser.add_argument("--steps", type=int, default=3)
options = parser.parse_args()


def build() -> AdaptedModel:
    backbone = Wav2Vec2Backbone(Wav2Vec2Model(Wav2Vec2Config(**XLS_R_300M)), "xls-r-300m, random")
    config = SourceConfig(kind="madg-ls", bottleneck=64)
    source = build_source(config, backbone.hidden_size, len(backbone.layers), LANGUAGES)
    described = ModelConfig(
        backbone=BackboneConfig(name=backbone.name),
        hidden_size=backbone.hidden_size,
        layers=len(backbone.layers),
        source=config,
        languages=LANGUAGES,
    )
    return AdaptedModel(backbone, source, Vocabulary.romanized(), described)


def used_gigabytes() -> float:
    if options.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def now() -> float:
    if options.device.startswith("cuda"):
        torch.cuda.synchronize()
    return perf_counter()


torch.manual_seed(0)
model = build().to(options.device).train()
learning = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(learning)
waveforms = [torch.randn(int(options.seconds * 16_000)) for _ in range(options.rows)]
languages = [LANGUAGES[row % len(LANGUAGES)] for row in range(options.rows)]
labels = torch.randint(1, 27, (options.rows, int(options.seconds * 10)), device=options.device)
features, lengths = model.backbone.features(waveforms)
print(
    f"{sum(p.numel() for p in model.backbone.parameters()) / 1e6:.0f} M frozen, "
    f"{sum(p.numel() for p in learning) / 1e6:.1f} M learning, adapters in layers "
    f"{min(model.source.shape.layers)} to {max(model.source.shape.layers)}; {options.rows} x "
    f"{options.seconds:g} s on {options.device}, {torch.get_num_threads()} threads, "
    f"{used_gigabytes():.1f} GB before the first step"
)
for step in range(options.steps):
    begun = now()
    hidden, frames = model.prefix(features, lengths)
    cached = now()
    loss = ctc_loss(model(frames, languages, hidden=hidden), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    done = now()
    print(
        f"step {step}: prefix {cached - begun:.3f} s, rest {done - cached:.3f} s, "
        f"loss {loss.item():.2f}, peak {used_gigabytes():.1f} GB",
        flush=True,
    )
