"""What other libraries compute from exported files is what we compute."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, Wav2Vec2ForCTC
from typer.testing import CliRunner

from madg_speech.cli import app
from madg_speech.conditioning import condition
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.formats.adapterhub import read_adapter
from madg_speech.formats.export import ExportFormat, export
from madg_speech.formats.mms import read_mms
from madg_speech.model import AdaptedModel
from tests.conftest import build_model
from tests.tiny import speech_folder

LANGUAGES = ("swh", "wol")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def stable(folder: Path, kind: str = "xls-r", **source: object) -> AdaptedModel:
    settings = {"kind": "madg", "norm": True, "layers": [1, 3]} | source
    return build_model(speech_folder(folder, kind), **settings)


def write(model: AdaptedModel, form: str, folder: Path) -> Path:
    made = [condition(model, language) for language in LANGUAGES]
    export(model, made, ExportFormat(form), folder)
    return folder


@pytest.mark.parametrize("kind", ["xls-r", "mms"])
def test_stock_transformers_reads_mms_adapters_and_says_the_same(tmp_path: Path, kind: str) -> None:
    model = stable(tmp_path / "backbone", kind, bottleneck=8)
    folder = write(model, "mms", tmp_path / "out")
    stock = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="swh").eval()
    processor = AutoProcessor.from_pretrained(folder, target_lang="swh")
    waves = [noise(6000), noise(9000, 1)]
    said = {}
    for language in (*LANGUAGES, "swh"):
        processor.tokenizer.set_target_lang(language)
        stock.load_adapter(language)
        for wave in waves:
            inputs = processor(wave, sampling_rate=16000, return_tensors="pt")
            with torch.inference_mode():
                logits = stock(**inputs).logits
            ours, _ = model.log_probs([wave], [language])
            torch.testing.assert_close(logits.log_softmax(-1), ours, rtol=0, atol=1e-5)
            text = model.vocabulary.decode(ours[0].argmax(-1).tolist())
            assert processor.batch_decode(logits.argmax(-1)) == [" ".join(text.split())]
        said[language] = logits
    assert not torch.allclose(said["swh"], said["wol"], atol=1e-2)


def test_mms_files_read_back_are_what_was_written(tmp_path: Path) -> None:
    model = stable(tmp_path / "backbone")
    folder = write(model, "mms", tmp_path / "out")
    weights, head = read_mms(folder, "wol")
    expected = model.source(["wol"])
    assert weights.layers == (0, 1, 2, 3)  # those without an adapter of ours add zero
    assert not weights.at(0).up.any() and not weights.at(0).up_bias.any()
    torch.testing.assert_close(weights.at(3).norm_weight, expected.at(3).norm_weight)
    torch.testing.assert_close(head["weight"], model.head.weight.data)
    with pytest.raises(CheckpointError, match="swh, wol"):
        read_mms(folder, "yor")


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        ("wav2vec2-base", {}, "norms before"),
        ("xls-r", {"norm": False}, "source.norm: true"),
        ("hubert-large", {}, "needs a wav2vec2"),
    ],
)
def test_what_mms_cannot_hold_is_named(
    tmp_path: Path, kind: str, source: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        write(stable(tmp_path / "backbone", kind, **source), "mms", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapterhub_folder_has_the_library_s_keys(model: AdaptedModel, tmp_path: Path) -> None:
    folder = write(model, "adapterhub", tmp_path / "out") / "wol"
    state = load_file(folder / "adapter.safetensors")
    stem = "model.encoder.layers.{}.output_adapters.adapters.wol."
    parts = ("adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight", "adapter_up.bias")
    assert set(state) == {stem.format(n) + part for n in (2, 3) for part in parts}
    described = json.loads((folder / "adapter_config.json").read_text())
    assert described["config"]["leave_out"] == [0, 1, 4]  # 4 is the decoder's layer
    assert int(32 // described["config"]["reduction_factor"]) == 4
    weights, _ = read_adapter(folder)
    torch.testing.assert_close(weights.down, model.source(["wol"]).down)
    described["config"]["non_linearity"] = "gelu"
    (folder / "adapter_config.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match="gelu"):
        read_adapter(folder)


def test_adapterhub_has_no_wav2vec2(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no adapters for"):
        write(stable(tmp_path / "b", norm=False), "adapterhub", tmp_path / "out")


def test_our_own_folder_is_what_transcribe_takes(model: AdaptedModel, tmp_path: Path) -> None:
    folder = write(model, "safetensors", tmp_path / "out")
    back = condition(model, "wol", adapter=folder / "wol").weights
    torch.testing.assert_close(back.up, model.source(["wol"]).up)
    assert json.loads((folder / "wol" / "adapter.json").read_text())["language"] == "wol"


@pytest.mark.parametrize("kind", ["whisper", "wav2vec2-base"])
def test_onnx_says_the_same_at_any_length(tmp_path: Path, tiny_whisper: Path, kind: str) -> None:
    backbone = tiny_whisper if kind == "whisper" else speech_folder(tmp_path / "backbone", kind)
    model = build_model(backbone, kind="static", norm=kind != "whisper", layers=[3])
    export(model, [condition(model, "wol")], ExportFormat.onnx, tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "wol" / "model.onnx")
    for samples in (800, 7777, 60001):
        wave = noise(samples)
        ours, frames = model.log_probs([wave], ["wol"])
        (theirs,) = session.run(None, {"samples": wave[None]})
        assert theirs.shape == (1, int(frames), model.vocabulary.size)
        np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=1e-4)
    without, _ = model.log_probs([wave], [None])
    assert not np.allclose(theirs, without.numpy(), atol=1e-2)


def test_one_call_writes_many_languages(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    output = tmp_path / "out"
    arguments = ["export", "--checkpoint", str(tmp_path / "c"), "-f", "safetensors"]
    asked = ["--lang", "wol", "-l", "Swahili", "-o", str(output)]
    result = CliRunner().invoke(app, [*arguments, *asked])
    assert result.exit_code == 0, result.output
    assert {path.name for path in output.iterdir()} == {"wol", "swh"}
    again = CliRunner().invoke(app, [*arguments, *asked])
    assert isinstance(again.exception, ConfigError) and "not empty" in str(again.exception)
    twice = CliRunner().invoke(
        app, [*arguments, "-l", "wol", "-l", "Wolof", "-o", str(tmp_path / "d")]
    )
    assert isinstance(twice.exception, ConfigError) and "once" in str(twice.exception)


@pytest.mark.skipif("MADG_ADAPTERS_VENV" not in os.environ, reason="names no environment to use")
def test_the_adapters_library_says_the_same() -> None:
    from tests.interop.adapterhub import compare

    assert max(compare(Path(os.environ["MADG_ADAPTERS_VENV"])).values()) < 1e-5
