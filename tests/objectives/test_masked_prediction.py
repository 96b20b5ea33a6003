from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from madg_speech.audio import load_audio
from madg_speech.backbones import load_backbone
from madg_speech.backbones.mel import LogMel, log_mel
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.data.masked import Masks, PredictionCollator
from madg_speech.errors import ConfigError
from madg_speech.objectives.ctc import IGNORED
from madg_speech.objectives.masked_prediction import (
    MaskedPrediction,
    RandomQuantizer,
    prediction_loss,
)
from madg_speech.objectives.scores import code_perplexity
from madg_speech.sources import build_source
from madg_speech.training.setup import check_cached_masks
from tests.objectives.test_contrastive import rows
from tests.speech import speak
from tests.tiny import speech_folder


def predictor(backbone: Path, codes: int = 16) -> MaskedPrediction:
    encoder = load_backbone(str(backbone))
    source = SourceConfig(kind="static", bottleneck=4)
    spec = ModelConfig(
        backbone=BackboneConfig(name=str(backbone)), hidden_size=32, layers=4, source=source
    )
    return MaskedPrediction(encoder, build_source(source, 32, 4), spec, codes, 8)


def test_targets_hear_what_is_said_and_not_how_loud() -> None:
    quantizer = RandomQuantizer.draw(64, 8, LogMel())
    wave = speak("bakoda")
    first, louder = quantizer([wave, 0.25 * wave])
    assert len(first) == LogMel().frames(len(wave))
    assert (first == louder).float().mean() > 0.9
    assert len(first.unique()) > 5
    (again,) = RandomQuantizer.draw(64, 8, LogMel())([wave])
    assert torch.equal(first, again)


@pytest.mark.parametrize("kind", ["wav2vec2-base", "xls-r", "wavlm-base"])
def test_targets_fit_encoders_of_waveforms(tmp_path: Path, kind: str) -> None:
    model = predictor(speech_folder(tmp_path / "model", kind)).eval()
    batch = PredictionCollator(model.backbone.front_end, model.quantizer(), Masks(0.4, 5, 0))(
        rows(tmp_path, "bado", "k")
    )
    labels = batch.pop("labels")
    output = model(**batch)
    assert len(output["logits"]) == int((labels != IGNORED).sum()) == int(batch["mask"].sum())
    assert torch.isfinite(prediction_loss(output, labels))


def test_a_target_lies_under_its_encoder_frame(tiny_whisper: Path) -> None:
    wave = speak("bakoda")
    changed = wave.copy()
    changed[9600:9920] = 0.5  # encoder frame 30 of Whisper: 320 samples from 9600
    quantizer = RandomQuantizer.draw(512, 16, LogMel())
    before, after = quantizer([wave]), quantizer([changed])
    # Bands are normalised over the utterance, so other frames may move a little; 30 must.
    assert before[0][30] != after[0][30]
    assert log_mel([wave])[1][0] == 2 * len(before[0])


def test_masks_reach_the_input_and_never_padding(tiny_whisper: Path, tmp_path: Path) -> None:
    model = predictor(tiny_whisper)
    collator = PredictionCollator(model.backbone.front_end, model.quantizer(), Masks(0.5, 4, 0))
    long_short = rows(tmp_path, "badobado", "ku")
    batch = collator(long_short)
    plain, lengths = model.backbone.front_end(
        [load_audio(Path(row["audio"])) for row in long_short]
    )
    frames = lengths // 2
    for row in range(2):
        own, mask = int(frames[row]), batch["mask"][row]
        assert mask[:own].any() and not mask[own:].any()
        assert (batch["labels"][row] != IGNORED).equal(mask)
        steps = mask.repeat_interleave(2)
        overwritten = (batch["features"][row] - plain[row]).abs().amax(0) > 1e-3
        assert overwritten[steps].all() and not overwritten[~steps].any()
    assert torch.equal(collator(long_short)["features"], batch["features"])
    drawn = [row | {"draw": 1} for row in long_short]
    assert not torch.equal(collator(drawn)["mask"], batch["mask"])


@pytest.mark.parametrize("kind", ["whisper", "wav2vec2-base", "xls-r", "wavlm-base"])
def test_masked_frames_know_their_places(tmp_path: Path, tiny_whisper: Path, kind: str) -> None:
    folder = tiny_whisper if kind == "whisper" else speech_folder(tmp_path / "model", kind)
    model = predictor(folder).eval()
    features, lengths = model.backbone.features([speak("bakoda")])
    given = {"features": features}
    if kind == "whisper":
        given["hidden"], lengths = model.prefix(features, lengths)
    frames = model.backbone.front_end.frames(len(speak("bakoda")))
    mask = torch.zeros(1, frames, dtype=torch.bool)
    mask[0, [frames // 3, frames // 2, frames - 2]] = True
    logits = model(lengths=lengths, languages=["swh"], mask=mask, **given)["logits"]
    assert min((logits[i] - logits[j]).abs().max() for i, j in [(0, 1), (0, 2), (1, 2)]) > 1e-4


def test_waveforms_are_masked_before_they_can_be_cached(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="below its layers"):
        check_cached_masks(predictor(speech_folder(tmp_path / "model", "wav2vec2-base")))


def test_loss_falls_and_only_source_and_head_learn(tiny_whisper: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = predictor(tiny_whisper).train()
    frozen = {n: p.clone() for n, p in model.backbone.named_parameters()}
    collator = PredictionCollator(model.backbone.front_end, model.quantizer(), Masks(0.4, 4, 0))
    batches = [
        collator([r | {"draw": d} for r in rows(tmp_path, "bado", "kuku")]) for d in range(4)
    ]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for step in range(60):
        batch = dict(batches[step % 4])
        labels = batch.pop("labels")
        loss = prediction_loss(model(**batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    assert all(torch.equal(frozen[n], p) for n, p in model.backbone.named_parameters())
    assert not torch.equal(model.projection, torch.zeros_like(model.projection))


def test_code_perplexity_counts_codes_in_use() -> None:
    even = torch.arange(8)[:, None]
    assert code_perplexity(even) == pytest.approx(8)
    assert code_perplexity(torch.cat([even, torch.zeros(8, 1, dtype=torch.long)], 1)) == (
        pytest.approx(9)
    )
