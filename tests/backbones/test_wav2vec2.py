"""Every family through the same promises; each kind is a tiny random model of the real class."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoModel, Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from madg_speech.backbones import load_backbone
from madg_speech.backbones.mel import LogMel
from madg_speech.backbones.wav2vec2 import Wav2Vec2Backbone
from madg_speech.config.augment import AugmentConfig
from madg_speech.config.data import DataConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.corpus import load_corpus
from madg_speech.data.manifest import Utterance, write_manifest
from madg_speech.errors import BackboneError, ConfigError, DataError
from madg_speech.model import AdaptedModel
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.training.pretrain import pretrain
from madg_speech.transcribe import Transcriber
from tests.conftest import build_model
from tests.speech import write_corpus
from tests.tiny import SPEECH, speech_folder, whisper_folder

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def audio(*seconds: float) -> list[np.ndarray]:
    draw = np.random.default_rng(5)
    return [draw.normal(0.01, 0.1, int(s * 16000)).astype(np.float32) for s in seconds]


@pytest.fixture(scope="module", params=[*SPEECH, "whisper"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    return (
        whisper_folder(place) if request.param == "whisper" else speech_folder(place, request.param)
    )


@pytest.fixture(scope="module")
def model(folder: Path) -> AdaptedModel:
    return build_model(folder, kind="madg-ls", layer_embedding_size=4)


def test_adapters_off_is_bit_identical_to_transformers(folder: Path, model: AdaptedModel) -> None:
    # Frozen like ours: torch multiplies WavLM's matrices in another order where it needs gradients.
    plain = AutoModel.from_pretrained(folder).eval().requires_grad_(False)
    plain = getattr(plain, "encoder", plain) if plain.config.model_type == "whisper" else plain
    waveforms = audio(30, 30) if plain.config.model_type == "whisper" else audio(1, 1)
    inputs, lengths = model.backbone.features(waveforms)
    expected = plain(inputs).last_hidden_state
    hooked = getattr(model.backbone, "model", None)  # transformers' own; Whisper's encoder is ours
    for active in (None, model.adapters_for([None, None])):
        with model.injection.use(active):
            hidden, frames = model.backbone.embed(inputs, lengths)
            got = model.backbone.finish(model.backbone.run_layers(hidden, frames))
            assert torch.equal(got, expected)
            if hooked is not None:
                assert torch.equal(hooked(inputs).last_hidden_state, expected)
    with model.injection.use(model.adapters_for(["swh", "yor"])):
        got = model.backbone.finish(model.backbone.run_layers(hidden, frames))
        assert not torch.allclose(got, expected)


def test_mixed_batch_equals_per_language_runs(model: AdaptedModel) -> None:
    waveforms = audio(0.6, 0.6, 0.6)
    languages = ["swh", None, "fin"]
    together, _ = model.log_probs(waveforms, languages)
    off, _ = model.log_probs(waveforms, [None] * 3)
    assert torch.equal(together[1], off[1])
    for i, language in enumerate(languages):
        alone, _ = model.log_probs(waveforms[i : i + 1], [language])
        torch.testing.assert_close(together[i], alone[0], **CLOSE)
        assert language is None or not torch.allclose(together[i], off[i])


def test_alone_equals_itself_in_a_padded_batch(model: AdaptedModel) -> None:
    waveforms = audio(0.4, 1.3, 0.021)
    languages = ["swh", "yor", "fin"]
    batch, frames = model.log_probs(waveforms, languages)
    for i, waveform in enumerate(waveforms):
        alone, (count,) = model.log_probs([waveform], [languages[i]])
        assert count == frames[i] == model.backbone.front_end.frames(len(waveform)) >= 1
        torch.testing.assert_close(batch[i, :count], alone[0, :count], **CLOSE)


def test_only_source_and_head_get_gradients(model: AdaptedModel) -> None:
    inputs, lengths = model.backbone.features(audio(0.5, 0.7))
    model.train()
    model(lengths, ["swh", "yor"], features=inputs)["logits"].square().sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    learning = [*model.source.parameters(), *model.head.parameters()]
    assert all(p.grad is not None and p.grad.any() for p in learning)
    assert not any(module.training for module in model.backbone.modules())
    model.eval().zero_grad()


def test_prefix_then_rest_equals_the_whole(model: AdaptedModel) -> None:
    inputs, lengths = model.backbone.features(audio(0.5, 0.9))
    hidden, frames = model.prefix(inputs, lengths)
    whole = model(lengths, ["swh", "yor"], features=inputs)["logits"]
    assert torch.equal(model(frames, ["swh", "yor"], hidden=hidden)["logits"], whole)
    reads_output = model.backbone.placements[2].module is model.backbone.layers[2]
    assert model.prefix_layers == (3 if reads_output else 2)


def test_saved_and_loaded_model_says_the_same(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "c")
    back = AdaptedModel.from_pretrained(tmp_path / "c")
    waveforms = audio(0.5, 0.9)
    expected, _ = model.log_probs(waveforms, ["wol", None])
    assert torch.equal(back.log_probs(waveforms, ["wol", None])[0], expected)


@pytest.mark.parametrize("kind", SPEECH)
def test_adapted_layer_follows_the_equation(tmp_path: Path, kind: str) -> None:
    model = build_model(speech_folder(tmp_path, kind), kind="static", layers=[3])
    with torch.no_grad():
        hidden, frames = model.backbone.embed(*model.backbone.features(audio(0.3)))
        hidden = model.backbone.run_layers(hidden, frames, stop=3)
    layer = model.backbone.layers[3]
    seen: dict[str, torch.Tensor] = {}
    layer.feed_forward.register_forward_hook(lambda *call: seen.update(r=call[2]))
    layer.final_layer_norm.register_forward_pre_hook(lambda _, given: seen.update(x=given[0]))
    with model.injection.use(None):
        output = model.backbone.run_layers(hidden, frames, start=3)
    weights = model.source(["swh"]).at(3)

    def project(h: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(h @ weights.down[0].T + weights.down_bias[0])
        return inner @ weights.up[0].T + weights.up_bias[0]

    if "base" in kind:  # h = LN(r + y); LN(up(relu(down(h))) + r + y), MAD-X
        r = seen["r"]
        y = seen["x"] - r
        h = layer.final_layer_norm(r + y)
        expected = layer.final_layer_norm(project(h) + r + y)
    elif kind == "mms":  # in place of the layer's own block
        h = seen["x"] + seen["r"]
        expected = h + project(h)
    else:
        expected = output + project(output)
    with model.injection.use(model.adapters_for(["swh"])):
        got = model.backbone.run_layers(hidden, frames, start=3)
    torch.testing.assert_close(got, expected, **CLOSE)
    assert not torch.allclose(got, output, **CLOSE)


@pytest.mark.parametrize("normalize", [True, False])
def test_front_end_is_the_extractor_s(tmp_path: Path, normalize: bool) -> None:
    backbone = load_backbone(str(speech_folder(tmp_path, "xls-r", normalize)))
    waveforms = audio(0.3, 0.7)
    extract = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)
    expected = extract(
        waveforms,
        sampling_rate=16000,
        padding=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    inputs, lengths = backbone.features(waveforms)
    torch.testing.assert_close(inputs, expected.input_values, atol=1e-5, rtol=1e-5)
    assert lengths.tolist() == expected.attention_mask.sum(1).tolist()
    assert pickle.loads(pickle.dumps(backbone.front_end)) == backbone.front_end


def test_frames_are_those_of_the_convolutions(tmp_path: Path) -> None:
    backbone = load_backbone(str(speech_folder(tmp_path, "wav2vec2-base")))
    assert isinstance(backbone, Wav2Vec2Backbone)
    for samples in (400, 719, 720, 16000, 16079, 16080):
        count = backbone.model._get_feat_extract_output_lengths(samples)
        assert backbone.front_end.frames(samples) == count == (samples - 80) // 320
    assert backbone.front_end.frames(1) == 1
    for front_end in (backbone.front_end, LogMel()):
        assert front_end.frames(front_end.samples(50)) == 50


def test_text_is_weighed_against_the_backbone_s_own_frames(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", audio(1.0)[0], 16000)
    spoken = Utterance("a", tmp_path / "a.wav", "ab" * 25, "swh", 1.0)
    write_manifest(tmp_path / "m.jsonl", [spoken])
    raw = load_backbone(str(speech_folder(tmp_path / "x", "xls-r"))).front_end
    given = [tmp_path / "m.jsonl"], DataConfig(train=("m",)), Vocabulary.romanized()
    assert len(load_corpus(*given, LogMel()).table) == 1
    with pytest.raises(DataError, match="more text than CTC frames"):
        load_corpus(*given, raw)


@pytest.mark.parametrize(("kind", "cached"), [("wav2vec2-base", True), ("wavlm-large", False)])
def test_a_run_learns_and_its_checkpoint_transcribes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, cached: bool
) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))
    manifest = write_corpus(tmp_path / "speech", copies=1)
    training = {"steps": 3, "seconds_per_batch": 4, "eval_every": 3, "cache_prefix": cached}
    training |= {} if cached else {"augment": {"speed": [0.9, 1.1]}}
    config = PretrainConfig.model_validate(
        {
            "backbone": {"name": str(speech_folder(tmp_path / "backbone", kind))},
            "source": {"kind": "static", "bottleneck": 4},
            "data": {"train": [str(manifest)], "dev": []},
            "training": training,
            "output": str(tmp_path / "run"),
        }
    )
    masked = config.training.model_copy(update={"augment": AugmentConfig(spec_augment=True)})
    with pytest.raises(ConfigError, match="hears waveforms"):
        pretrain(
            config.model_copy(update={"training": masked, "output": str(tmp_path / "masked")}),
            Path("/"),
            device="cpu",
        )
    model = AdaptedModel.from_pretrained(pretrain(config, Path("/"), device="cpu"))
    assert model.source(["swh"]).up.any()
    transcript = Transcriber(model).transcribe(tmp_path / "speech" / "swh-0.wav", "swh")
    assert len(transcript.segments) == 1


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=1, add_adapter=True
    )
    with pytest.raises(BackboneError, match="add_adapter"):
        Wav2Vec2Backbone(Wav2Vec2Model(config), "short")
    (tmp_path / "config.json").write_text('{"model_type": "seamless"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BackboneError, match=r"seamless.*Whisper.*XLS-R.*HuBERT.*WavLM"):
        load_backbone(str(tmp_path))


def test_weights_in_a_pickle_are_read(tmp_path: Path) -> None:
    speech_folder(tmp_path, "hubert-base")
    expected = load_backbone(str(tmp_path)).state_dict()
    torch.save(AutoModel.from_pretrained(tmp_path).state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    found = load_backbone(str(tmp_path)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
