"""Adapted tiny Whispers with their decoder, for tests of several rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from madg_speech.backbones import load_backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.objectives import Seq2SeqConfig
from madg_speech.config.source import SourceConfig
from madg_speech.objectives.seq2seq import Seq2Seq
from madg_speech.sources import build_source
from tests.speech import speak

WAVES = (speak("badokuku"), speak("aba"), speak("oko"))


def adapted_whisper(folder: Path, kind: str = "madg-ls", temperature: float = 0.05) -> Seq2Seq:
    """MAD-G-LS, or another source, in the upper two layers; its tensors are all non-zero."""
    encoder = load_backbone(str(folder))
    source = SourceConfig.model_validate({"kind": kind, "bottleneck": 4, "embedding_size": 8})
    spec = ModelConfig(
        backbone=BackboneConfig(name=str(folder)),
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        source=source,
        objective="seq2seq",
        seq2seq=Seq2SeqConfig(temperature=temperature),
        languages=("swh", "yor"),
    )
    torch.manual_seed(1)
    built = build_source(source, encoder.hidden_size, len(encoder.layers), spec.languages)
    for parameter in built.parameters() if built else ():
        torch.nn.init.normal_(parameter, std=0.3)
    return Seq2Seq(encoder, built, spec).eval()


def batch(model: Seq2Seq, texts: list[str], languages: list[str]) -> dict[str, object]:
    """What the collator makes of some of ``WAVES`` with these texts, and ``labels``."""
    waves: list[np.ndarray] = list(WAVES[: len(texts)])
    features, lengths = model.front_end(waves)
    tokens = model.decoder.tokens
    labels = [torch.tensor(tokens.encode(t)) for t in tokens.transcripts(texts, languages)]
    padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    return {
        "features": features,
        "lengths": lengths,
        "spoken": torch.tensor([model.front_end.spoken(len(wave)) for wave in waves]),
        "languages": languages,
        "tokens": padded[:, :-1].clamp(min=0),
        "labels": padded,
    }
