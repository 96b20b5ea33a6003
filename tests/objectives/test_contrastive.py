"""Against transformers' own Wav2Vec2ForPreTraining, with the same masks and negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

from madg_speech.backbones import load_backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.objectives import ContrastiveConfig
from madg_speech.config.source import SourceConfig
from madg_speech.data.masked import ContrastiveCollator, Masks
from madg_speech.errors import BackboneError
from madg_speech.objectives.contrastive import Contrastive, contrastive_loss
from madg_speech.sources import build_source
from tests.speech import speak
from tests.tiny import PRE_NORM, speech_folder

KINDS: dict[str, dict[str, Any]] = {"post-norm": {}, "pre-norm": PRE_NORM}


def pretrained(folder: Path, kind: str = "pre-norm") -> Path:
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        num_codevectors_per_group=12,
        codevector_dim=16,
        proj_codevector_dim=16,
        **KINDS[kind],
    )
    torch.manual_seed(0)
    Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def contrastive(folder: Path, **settings: object) -> Contrastive:
    backbone = load_backbone(str(folder))
    source = SourceConfig(kind="static", bottleneck=4)
    spec = ModelConfig(
        backbone=BackboneConfig(name=str(folder)), hidden_size=32, layers=4, source=source
    )
    asked = ContrastiveConfig.model_validate(settings)
    return Contrastive(backbone, build_source(source, 32, 4), spec, asked)


def rows(folder: Path, *words: str) -> list[dict[str, Any]]:
    import soundfile

    made = []
    for i, word in enumerate(words):
        path = folder / f"{i}.wav"
        soundfile.write(path, speak(word), 16000)
        made.append({"audio": str(path), "lang": "swh", "audio_hash": f"{i:032x}"})
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = pretrained(tmp_path / "model", kind)
    model = contrastive(folder).eval()
    reference = Wav2Vec2ForPreTraining.from_pretrained(folder).eval()
    # transformers' group norm sees padding, ours does not: equal lengths where there is one
    words = ("badoba", "kuku") if kind == "pre-norm" else ("badoba", "kukuka")
    collator = ContrastiveCollator(model.backbone.front_end, Masks(0.5, 4, seed=1), negatives=7)
    batch = collator(rows(tmp_path, *words))
    labels = batch.pop("labels")
    assert ((labels == 0) == batch["mask"]).all()
    with torch.no_grad():
        ours = contrastive_loss(model(**batch), labels)
        length = batch["mask"].shape[1]
        offsets = torch.arange(len(words))[:, None, None] * length
        inside = torch.arange(batch["features"].shape[1])[None] < batch["lengths"][:, None]
        theirs = reference(
            batch["features"],
            attention_mask=inside.long() if kind == "pre-norm" else None,
            mask_time_indices=batch["mask"],
            sampled_negative_indices=batch["negatives"] + offsets,
        )
    masked = int(batch["mask"].sum())
    torch.testing.assert_close(ours, theirs.loss / masked, rtol=1e-4, atol=1e-5)
    assert model.readings()["code_perplexity"] == pytest.approx(
        float(theirs.codevector_perplexity), abs=0.01
    )


@pytest.mark.parametrize(("span", "masked"), [(1, 1), (100, 2)])
def test_one_masked_frame_and_utterances_shorter_than_a_span_work(
    tmp_path: Path, span: int, masked: int
) -> None:
    model = contrastive(pretrained(tmp_path / "model"), quantizer="trained").train()
    short = rows(tmp_path, "bado", "a")
    import soundfile

    soundfile.write(short[1]["audio"], speak("a")[:1600], 16000)  # four frames
    collator = ContrastiveCollator(model.backbone.front_end, Masks(0.01, span, seed=0), negatives=5)
    batch = collator(short)
    labels = batch.pop("labels")
    assert int(batch["mask"][1].sum()) == masked
    loss = contrastive_loss(model(**batch), labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.source.parameters())


@pytest.mark.parametrize("quantizer", ["frozen", "trained"])
def test_what_learns_and_how_the_temperature_falls(tmp_path: Path, quantizer: str) -> None:
    model = contrastive(
        pretrained(tmp_path / "model"),
        quantizer=quantizer,
        temperature=(2.0, 0.5),
        temperature_decay=0.5,
    ).train()
    assert model.quantizer.training == (quantizer == "trained")
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    heads = {"source", "project_hid", "project_q"}
    assert learned == heads | ({"quantizer"} if quantizer == "trained" else set())
    cooled = []
    for step in range(4):
        model.at_step(step)
        cooled.append(model.quantizer.temperature)
    assert cooled == [2.0, 1.0, 0.5, 0.5]


def test_a_backbone_that_lacks_a_quantizer_or_another_kind_is_named(tmp_path: Path) -> None:
    bare = speech_folder(tmp_path / "bare", "xls-r")
    with pytest.raises(BackboneError, match="quantizer: trained"):
        contrastive(bare)
    assert contrastive(bare, quantizer="trained").project_q.in_features == 256
    hubert = speech_folder(tmp_path / "hubert", "hubert-base")
    with pytest.raises(BackboneError, match="best-rq"):
        contrastive(hubert, quantizer="trained")


def test_a_rows_loss_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    model = contrastive(pretrained(tmp_path / "model", "post-norm")).eval()
    collator = ContrastiveCollator(model.backbone.front_end, Masks(0.5, 4, seed=1), negatives=7)
    both = rows(tmp_path, "badoba", "kuku")
    together, alone = collator(both), collator(both[1:])
    for batch in (together, alone):
        batch.pop("labels")
    with torch.no_grad():
        logits, own = model(**together)["logits"], model(**alone)["logits"]
    np.testing.assert_allclose(logits[-len(own) :], own, atol=1e-4)
