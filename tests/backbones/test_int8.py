from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from madg_speech.backbones import load_backbone
from madg_speech.backbones.int8 import Int8Linear, to_int8
from madg_speech.errors import ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.transcribe import load
from tests.speech import speak
from tests.tiny import speech_folder

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN"
)


@pytest.mark.parametrize("shift", [0.0, 3.0])
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_close(shift: float, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 24, bias=bias)
    inputs = torch.randn(3, 10, 64) + shift
    got, expected = Int8Linear(linear)(inputs), linear(inputs)
    assert got.shape == expected.shape
    assert (got - expected).abs().mean() < 0.03 * expected.abs().mean()


def test_nothing_in_is_the_bias_out() -> None:
    linear = nn.Linear(8, 4)
    torch.testing.assert_close(Int8Linear(linear)(torch.zeros(2, 8)), linear.bias.expand(2, 4))


def test_a_loaded_checkpoint_says_about_the_same(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    loaded = load(tmp_path / "c", precision="int8")
    layers = loaded.model.backbone.layers
    assert not any(isinstance(module, nn.Linear) for module in layers.modules())
    wave = speak("bado kuku")
    exact, _ = model.log_probs([wave], ["swh"])
    rounded, _ = loaded.model.log_probs([wave], ["swh"])
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).abs().mean() < 0.1 * exact.std()
    soundfile.write(tmp_path / "talk.wav", np.asarray(wave), 16000)
    assert loaded.transcribe(tmp_path / "talk.wav", "swh").segments


def test_other_families_are_refused(tmp_path: Path) -> None:
    backbone = load_backbone(str(speech_folder(tmp_path, "wavlm-base")))
    with pytest.raises(ConfigError, match="Whisper"):
        to_int8(backbone)
