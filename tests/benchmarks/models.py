"""Models and batches of whisper-base's shape with random weights: speed does not ask what they know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.backbones.whisper_encoder import WhisperEncoder as OurEncoder
from madg_speech.backbones.whisper_encoder import WhisperShape
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.model import AdaptedModel
from madg_speech.objectives.ctc import ctc_loss
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary

LANGUAGES = (
    *("swh", "yor", "deu", "fin", "tur", "hin", "mal", "amh"),
    *("vie", "kor", "eus", "hun", "ukr", "spa", "quz", "ibo"),
)
UPPER, ALL = (3, 4, 5), (0, 1, 2, 3, 4, 5)
BASE = {
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
}


def encoder(seconds: float, **sizes: int) -> WhisperEncoder:
    """transformers' encoder; its one window is ``seconds`` long, so it runs unchanged on them."""
    torch.manual_seed(0)
    config = WhisperConfig(**BASE | sizes, max_source_positions=int(seconds * 50))
    return WhisperEncoder(config).eval().requires_grad_(False)


def adapted(plain: WhisperEncoder, layers: tuple[int, ...], kind: str) -> AdaptedModel:
    """Ours around an encoder: bottleneck H/16, all tensors away from zero."""
    given = plain.config
    ours = OurEncoder(
        WhisperShape(**{field.name: getattr(given, field.name) for field in fields(WhisperShape)})
    )
    ours.load_state_dict(plain.state_dict())
    backbone = WhisperBackbone(ours, "whisper-base shape")
    hidden, count = backbone.hidden_size, len(backbone.layers)
    config = SourceConfig.model_validate(
        {"kind": kind, "layers": layers, "bottleneck": hidden // 16}
    )
    source = build_source(config, hidden, count, LANGUAGES)
    described = ModelConfig(
        backbone=BackboneConfig(),
        hidden_size=hidden,
        layers=count,
        source=config,
        languages=LANGUAGES,
    )
    model = AdaptedModel(backbone, source, Vocabulary.romanized(), described)
    for parameter in model.source.parameters():
        nn.init.normal_(parameter, std=0.02)
    return model


@dataclass(frozen=True)
class Batch:
    """Equal-length rows: features [B, 80, T], lengths [B] in mel frames, labels [B, S]."""

    features: Tensor
    lengths: Tensor
    labels: Tensor

    @classmethod
    def random(cls, rows: int, seconds: float) -> Batch:
        frames = int(seconds * 100)
        labels = torch.randint(1, 28, (rows, int(seconds * 12)))
        return cls(torch.randn(rows, 80, frames), torch.full((rows,), frames), labels)


def training_step(
    model: nn.Module, labels: Tensor, forward: Callable[[], dict[str, Tensor]]
) -> Callable[[], None]:
    """Forward, CTC, backward, AdamW over all that can be trained in ``model``."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-5)

    def step() -> None:
        ctc_loss(forward(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def trained_size(model: nn.Module) -> int:
    """Trainable parameters, without the CTC head."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not name.startswith("head.")
    )
