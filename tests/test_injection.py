import threading
from pathlib import Path

import pytest
import torch
from transformers import WhisperModel

from madg_speech.adapters import ActiveAdapters
from madg_speech.backbones import load_backbone
from madg_speech.injection import Injection
from madg_speech.model import AdaptedModel
from tests.conftest import build_model
from tests.test_adapters import weights


def mel(*seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    lengths = torch.tensor([int(s * 50) * 2 for s in seconds])
    features = torch.randn(len(seconds), 80, int(lengths.max()), generator=draw)
    for row, length in zip(features, lengths, strict=True):
        row[:, length:] = 0
    return features, lengths


def test_adapters_off_is_bit_identical_to_transformers(
    tiny_whisper: Path, model: AdaptedModel
) -> None:
    plain = WhisperModel.from_pretrained(tiny_whisper).encoder.eval()
    features, lengths = mel(30, 30)
    expected = plain(features).last_hidden_state
    for languages in ([None, None],):
        with model.injection.use(model.adapters_for(languages)):
            hidden, frames = model.backbone.embed(features, lengths)
            got = model.backbone.finish(model.backbone.run_layers(hidden, frames))
        assert torch.equal(got, expected)


def test_a_row_without_adapter_is_untouched_beside_one_with(model: AdaptedModel) -> None:
    features, lengths = mel(1, 1)
    features[1] = features[0]
    off = model(lengths, [None, None], features=features)["logits"]
    mixed = model(lengths, ["swh", None], features=features)["logits"]
    assert torch.equal(mixed[1], off[1])
    assert not torch.allclose(mixed[0], off[0])


@pytest.mark.parametrize("kind", ["static", "madg", "madg-ls", "two-stage"])
def test_mixed_batch_equals_per_language_runs(tiny_whisper: Path, kind: str) -> None:
    model = build_model(tiny_whisper, kind=kind)
    features, lengths = mel(2, 2, 2, 2)
    languages = ["swh", "fin", "swh", "wol"]
    together = model(lengths, languages, features=features)["logits"]
    for i, language in enumerate(languages):
        alone = model(lengths[i : i + 1], [language], features=features[i : i + 1])["logits"]
        torch.testing.assert_close(together[i], alone[0], atol=1e-4, rtol=1e-4)


def test_alone_equals_itself_in_a_padded_batch(model: AdaptedModel) -> None:
    features, lengths = mel(0.5, 3.0, 1.7)
    batch = model(lengths, ["swh", "yor", "swh"], features=features)
    for i, (language, length) in enumerate(
        zip(["swh", "yor", "swh"], lengths.tolist(), strict=True)
    ):
        alone = model(lengths[i : i + 1], [language], features=features[i : i + 1, :, :length])
        frames = int(alone["lengths"][0])
        assert frames == length // 2 == int(batch["lengths"][i])
        torch.testing.assert_close(
            batch["logits"][i, :frames], alone["logits"][0], atol=1e-4, rtol=1e-4
        )


def test_only_source_and_head_get_gradients(model: AdaptedModel) -> None:
    features, lengths = mel(1, 1)
    model.train()
    model(lengths, ["swh", "yor"], features=features)["logits"].square().sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.source.parameters())
    assert not model.backbone.encoder.training


def test_captured_hidden_states_are_the_adapted_ones(model: AdaptedModel) -> None:
    features, lengths = mel(30)
    seen: list[torch.Tensor] = []
    last = model.backbone.layers[-1]
    last.register_forward_hook(lambda *call: seen.append(call[2]))
    # a hook registered after ours sees the adapted output too
    with model.injection.use(model.adapters_for(["swh"])):
        hidden, frames = model.backbone.embed(features, lengths)
        adapted = model.backbone.run_layers(hidden, frames)
    assert torch.equal(seen[0], adapted)


def test_detach_leaves_nothing_behind(tiny_whisper: Path, tmp_path: Path) -> None:
    backbone = load_backbone(str(tiny_whisper))
    before = set(backbone.state_dict())
    injection = Injection(backbone.placements, (1, 3))
    assert set(backbone.state_dict()) == before
    assert any(layer._forward_hooks for layer in backbone.layers)
    injection.detach()
    assert not any(layer._forward_hooks for layer in backbone.layers)
    features, lengths = mel(1)
    hidden, frames = backbone.embed(features, lengths)
    plain = backbone.run_layers(hidden, frames)
    with injection.use(ActiveAdapters.select(weights(1, h=32), [0])):
        assert torch.equal(backbone.run_layers(hidden, frames), plain)


def test_each_hook_knows_its_own_layer(tiny_whisper: Path) -> None:
    backbone = load_backbone(str(tiny_whisper))
    injection = Injection(backbone.placements, (1, 3))
    w = weights(1, h=32)
    w.up[:, 1] = 0  # the adapter of layer 3 adds nothing
    w.up_bias[:, 1] = 0
    features, lengths = mel(1)
    hidden, frames = backbone.embed(features, lengths)
    with injection.use(ActiveAdapters.select(w, [0])):
        upper = backbone.run_layers(hidden, frames, start=2)
        lower = backbone.run_layers(hidden, frames, stop=2)
    assert torch.equal(upper, backbone.run_layers(hidden, frames, start=2))
    assert not torch.allclose(lower, backbone.run_layers(hidden, frames, stop=2))


def test_two_threads_with_two_languages_do_not_mix(model: AdaptedModel) -> None:
    features, lengths = mel(2)
    languages = ["swh", "yor", None]
    expected = {name: model(lengths, [name], features=features)["logits"] for name in languages}
    wrong: list[str | None] = []
    start = threading.Barrier(len(languages))

    def run(name: str | None) -> None:
        start.wait()
        for _ in range(10):
            if not torch.equal(model(lengths, [name], features=features)["logits"], expected[name]):
                wrong.append(name)

    threads = [threading.Thread(target=run, args=(name,)) for name in languages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_than_thirty_seconds_in_one_row(model: AdaptedModel) -> None:
    features, lengths = mel(31)
    with pytest.raises(ValueError, match=r"31\.0 s"):
        model(lengths, ["swh"], features=features)
