import json
import shutil
from pathlib import Path

import pytest
import torch

from madg_speech.errors import BackboneError, CheckpointError
from madg_speech.model import AdaptedModel, mask_spans
from tests.conftest import build_model
from tests.test_injection import mel
from tests.tiny import whisper_folder


@pytest.mark.parametrize("kind", ["none", "static", "madg", "madg-ls", "two-stage"])
def test_saved_and_loaded_model_says_the_same(
    tiny_whisper: Path, tmp_path: Path, kind: str
) -> None:
    model = build_model(tiny_whisper, kind=kind)
    model.save_pretrained(tmp_path / "c", card="# card\n")
    back = AdaptedModel.from_pretrained(tmp_path / "c")
    features, lengths = mel(1, 2)
    for languages in (["swh", "wol"], [None, "swh"]):
        expected = model(lengths, languages, features=features)["logits"]
        assert torch.equal(back(lengths, languages, features=features)["logits"], expected)
    assert back.spec == model.spec
    assert not any("backbone" in name for name in back.trainable_state())


def test_whoever_may_read_the_folder_may_read_the_weights(
    model: AdaptedModel, tmp_path: Path
) -> None:
    (tmp_path / "plain").touch()
    model.save_pretrained(tmp_path / "checkpoint")
    modes = {file.stat().st_mode for file in (tmp_path / "checkpoint").iterdir()}
    assert modes == {(tmp_path / "plain").stat().st_mode}


def test_half_precision_release_is_half_the_size(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "full")
    model.save_pretrained(tmp_path / "half", dtype=torch.float16)
    size = lambda name: (tmp_path / name / "model.safetensors").stat().st_size  # noqa: E731
    assert size("half") < 0.7 * size("full")
    assert AdaptedModel.from_pretrained(tmp_path / "half").head.weight.dtype == torch.float32


def test_prefix_then_rest_equals_the_whole(model: AdaptedModel) -> None:
    features, lengths = mel(1, 2)
    hidden, frames = model.prefix(features, lengths)
    assert model.prefix_layers == 3  # the layer that the first adapter reads is frozen too
    whole = model(lengths, ["swh", "yor"], features=features)["logits"]
    assert torch.equal(model(frames, ["swh", "yor"], hidden=hidden)["logits"], whole)


def test_a_given_adapter_replaces_the_source_s(model: AdaptedModel) -> None:
    features, lengths = mel(1)
    yoruba = model.source(["yor"])
    expected = model(lengths, ["yor"], features=features)["logits"]
    got = model(lengths, ["swh"], features=features, adapter=yoruba)["logits"]
    torch.testing.assert_close(got, expected)


def test_checkpoint_for_another_backbone(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    other = whisper_folder(tmp_path / "wide", d_model=48)
    with pytest.raises(CheckpointError, match="4 layers of 32"):
        AdaptedModel.from_pretrained(tmp_path / "c", backbone=str(other))


def test_broken_checkpoints_are_named(model: AdaptedModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        AdaptedModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "c")
    (tmp_path / "c" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        AdaptedModel.from_pretrained(tmp_path / "c")
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    del config["layers"]
    (tmp_path / "c" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="layers"):
        AdaptedModel.from_pretrained(tmp_path / "c")


def test_a_backbone_of_another_family(tmp_path: Path, model: AdaptedModel) -> None:
    from transformers import BertConfig, BertModel

    bert = BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )
    bert.save_pretrained(tmp_path / "bert")
    model.save_pretrained(tmp_path / "c")
    with pytest.raises(BackboneError, match="bert"):
        AdaptedModel.from_pretrained(tmp_path / "c", backbone=str(tmp_path / "bert"))


def test_masks_fall_inside_and_hit_about_their_share() -> None:
    torch.manual_seed(0)
    hidden = torch.ones(64, 200, 3)
    lengths = torch.tensor([100] * 64)
    masked = mask_spans(hidden, lengths, 0.1)
    assert masked[:, 100:].all()
    assert (masked[:, :100, 0] == 0).float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_push_to_hub_uploads_a_folder_that_loads_again(
    model: AdaptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hub:
        def __init__(self, token: str | None = None):
            assert token == "secret"

        def create_repo(self, repo: str, private: bool, exist_ok: bool) -> str:
            assert private and exist_ok
            return f"https://hub/{repo}"

        def upload_folder(self, repo_id: str, folder_path: Path) -> None:
            assert repo_id == "me/mine"
            shutil.copytree(folder_path, tmp_path / "hub")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(CheckpointError, match="without a card"):
        model.push_to_hub("me/mine")
    url = model.push_to_hub("me/mine", "# card\n", private=True, token="secret")
    assert url == "https://hub/me/mine"
    expected = {"config.json", "model.safetensors", "vocab.json", "README.md"}
    assert {file.name for file in (tmp_path / "hub").iterdir()} == expected

    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: tmp_path / "hub")
    back = AdaptedModel.from_pretrained("me/mine")
    assert torch.equal(back.head.weight, model.head.weight)
    back.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "README.md").read_text() == "# card\n"


def test_a_hub_id_that_nobody_has_is_named() -> None:
    with pytest.raises(CheckpointError, match="nobody/nothing: no such folder"):
        AdaptedModel.from_pretrained("nobody/nothing")
