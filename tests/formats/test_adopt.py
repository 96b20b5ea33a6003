"""Adapters made elsewhere become a checkpoint; a generator can be distilled from it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2ForCTC
from typer.testing import CliRunner

from madg_speech.cli import app
from madg_speech.conditioning import condition
from madg_speech.errors import CheckpointError, UnknownLanguageError
from madg_speech.formats.adopt import adopt
from madg_speech.formats.export import ExportFormat, export
from madg_speech.model import AdaptedModel
from tests.conftest import build_model
from tests.evaluation.test_baselines import tiny_mms
from tests.formats.test_export import noise, stable
from tests.tiny import whisper_folder


def exported(model: AdaptedModel, form: str, folder: Path) -> Path:
    made = [condition(model, language) for language in ("swh", "wol", "fin")]
    export(model, made, ExportFormat(form), folder)
    return folder


@pytest.mark.parametrize("form", ["mms", "adapterhub"])
def test_what_was_exported_comes_back_with_its_head(
    form: str, model: AdaptedModel, tmp_path: Path
) -> None:
    if form == "mms":
        model = stable(tmp_path / "backbone")
    folder = exported(model, form, tmp_path / "out")
    output = tmp_path / "checkpoint"
    result = CliRunner().invoke(
        app, ["import", str(folder), "-l", "wol", "-l", "Swahili", "-o", str(output)]
    )
    assert result.exit_code == 0, result.output
    back = AdaptedModel.from_pretrained(output)
    assert back.spec.languages == ("swh", "wol")
    for language in back.spec.languages:
        expected, _ = model.log_probs([noise(8000)], [language])
        got, _ = back.log_probs([noise(8000)], [language])
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
    with pytest.raises(UnknownLanguageError, match="fin"):
        back.source(["fin"])


def test_mms_s_own_adapters_give_mms_s_hidden_states(tmp_path: Path) -> None:
    folder = tiny_mms(tmp_path / "mms")
    stock = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="swh").eval()
    remarks: list[str] = []
    model = adopt([folder], notify=remarks.append)
    assert remarks[0].startswith("left out") and "azj-script_cyrillic" in remarks[0]
    assert "untrained" in remarks[-1] and "untrained" in model.card
    wave = noise(4000)
    for language in ("swh", "deu"):
        stock.load_adapter(language)
        features, lengths = model.backbone.features([wave])
        hidden, frames = model.prefix(features, lengths)
        with torch.inference_mode(), model.injection.use(model.adapters_for([language])):
            ours = model.backbone.finish(model.backbone.run_layers(hidden, frames))
            theirs = stock.wav2vec2(features).last_hidden_state
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_what_is_not_there_is_named(model: AdaptedModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no adapter found"):
        adopt([tmp_path])
    folder = exported(model, "adapterhub", tmp_path / "out")
    with pytest.raises(UnknownLanguageError, match="yor"):
        adopt([folder], ["yor"])
    config = folder / "wol" / "adapter_config.json"
    config.write_text(config.read_text().replace('"name": "wol"', '"name": "no language"'))
    remarks: list[str] = []
    assert adopt([folder], notify=remarks.append).spec.languages == ("fin", "swh")
    assert "'no language'" in remarks[0]


def test_adapters_of_two_shapes_do_not_mix(
    model: AdaptedModel, tiny_whisper: Path, tmp_path: Path
) -> None:
    folder = exported(model, "adapterhub", tmp_path / "out")
    described = json.loads((folder / "wol" / "adapter_config.json").read_text())
    assert described["model_name"] == model.spec.backbone.name
    narrow = build_model(tiny_whisper, kind="static", bottleneck=3)
    other = exported(narrow, "adapterhub", tmp_path / "b")
    remarks: list[str] = []
    assert adopt([folder, other], notify=remarks.append).source.shape.bottleneck == 4
    assert "left out: a second adapter of fin" in remarks
    (folder / "wol" / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match="import those alike"):
        adopt([folder, other / "wol"])
    with pytest.raises(CheckpointError, match="no Whisper"):
        adopt([folder], backbone=str(stable(tmp_path / "c").backbone.name))
    with pytest.raises(CheckpointError, match="--backbone"):
        adopt([folder], backbone=str(whisper_folder(tmp_path / "d", encoder_layers=2)))
