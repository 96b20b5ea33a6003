import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from madg_speech.backbones import load_backbone
from madg_speech.decoding.language_id import posterior
from madg_speech.errors import ConfigError
from tests.tiny import speech_folder, whisper_config

LANGUAGES = {"<|sw|>": 50, "<|fi|>": 51, "<|yo|>": 52, "<|xx|>": 53}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    WhisperForConditionalGeneration(whisper_config()).save_pretrained(path)
    settings = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps(settings | {"lang_to_id": LANGUAGES}))
    return path


def test_equals_the_decoder_of_transformers(folder: Path) -> None:
    waveform = np.random.default_rng(0).normal(size=32000).astype(np.float32)
    backbone = load_backbone(str(folder))
    got = posterior(backbone, waveform)
    whole = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    features, _ = backbone.features([np.pad(waveform, (0, 448000))])
    with torch.no_grad():
        start = torch.tensor([[whole.config.decoder_start_token_id]])
        logits = whole(features, decoder_input_ids=start).logits[0, -1, 50:53]
    expected = dict(zip(("swh", "fin", "yor"), logits.softmax(0).tolist(), strict=True))
    assert got == pytest.approx(expected, abs=1e-5)
    assert list(got.values()) == sorted(got.values(), reverse=True)


def test_a_folder_without_languages_says_so(tiny_whisper: Path) -> None:
    backbone = load_backbone(str(tiny_whisper))
    with pytest.raises(ConfigError, match="names no languages"):
        posterior(backbone, np.ones(1600, np.float32))


def test_only_whisper_tells_languages_apart(tmp_path: Path) -> None:
    backbone = load_backbone(str(speech_folder(tmp_path, "xls-r")))
    with pytest.raises(ConfigError, match="--lang"):
        posterior(backbone, np.ones(1600, np.float32))
