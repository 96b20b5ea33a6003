"""Shared fixtures: nothing here needs the network or data outside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from madg_speech.backbones import load_backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.model import AdaptedModel
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary
from tests.tiny import whisper_folder

LANGUAGES = ("swh", "yor", "deu", "fin")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test session writes to a cache of its own and never asks the hub."""
    folder = tmp_path_factory.getbasetemp() / "madg-cache"
    monkeypatch.setenv("MADG_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Whisper of 4 encoder layers, width 32."""
    return whisper_folder(tmp_path_factory.mktemp("whisper"))


def build_model(backbone: Path, **source: object) -> AdaptedModel:
    """An AdaptedModel over a tiny encoder; its source's tensors are all non-zero."""
    import torch

    encoder = load_backbone(str(backbone))
    config = SourceConfig.model_validate({"bottleneck": 4, "embedding_size": 8} | source)
    torch.manual_seed(1)
    described = ModelConfig(
        backbone=BackboneConfig(name=str(backbone)),
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        source=config,
        languages=LANGUAGES,
    )
    built = build_source(config, encoder.hidden_size, len(encoder.layers), LANGUAGES)
    model = AdaptedModel(encoder, built, Vocabulary.romanized(), described)
    for parameter in model.source.parameters() if model.source else ():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def model(tiny_whisper: Path) -> AdaptedModel:
    """MAD-G-LS in the upper two layers."""
    return build_model(tiny_whisper, kind="madg-ls", layer_embedding_size=4)
