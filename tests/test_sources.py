import pytest
import torch

from madg_speech.adapters import TENSORS, AdapterShape
from madg_speech.config import SourceConfig
from madg_speech.errors import ConfigError, UnknownLanguageError
from madg_speech.sources import build_source
from madg_speech.sources.madg import MadG
from madg_speech.sources.static import Static
from madg_speech.sources.two_stage import TwoStage
from madg_speech.typology import load_typology

SHAPE = AdapterShape((2, 5), hidden_size=3, bottleneck=2)


def fill(source: torch.nn.Module) -> None:
    draw = torch.Generator().manual_seed(0)
    for parameter in source.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw)


def test_madg_equation_by_hand() -> None:
    source = MadG(SHAPE, load_typology(), embedding_size=4)
    fill(source)
    t = torch.from_numpy(load_typology().vectors(["swh"]))[0]
    v, b = source.embed.weight, source.embed.bias
    embedding = torch.stack([sum(v[i, j] * t[j] for j in range(289)) + b[i] for i in range(4)])
    made = source(["swh"])
    table = source.tables.down  # [layer, bottleneck, hidden, d]
    for n in range(2):
        for i in range(2):
            for j in range(3):
                expected = sum(table[n, i, j, k] * embedding[k] for k in range(4)) / 4**0.5
                torch.testing.assert_close(made.down[0, n, i, j], expected, atol=1e-4, rtol=1e-4)


def test_madg_ls_equation_by_hand() -> None:
    source = MadG(SHAPE, load_typology(), embedding_size=4, layer_embedding_size=3)
    fill(source)
    embedding = source.embedding(["yor"])[0]
    made = source(["swh", "yor"])
    table = source.tables.up_bias  # [hidden, d + e], one for both layers
    for n in range(2):
        context = torch.cat([embedding, source.layer_embedding[n]])
        torch.testing.assert_close(made.up_bias[1, n], table @ context / 7**0.5)


@pytest.mark.parametrize("layer_embedding", [0, 3])
def test_near_identity_start_adds_nothing_and_original_start_does(layer_embedding: int) -> None:
    near = MadG(SHAPE, load_typology(), 8, layer_embedding)(["swh"])
    assert not near.up.any() and not near.up_bias.any() and near.down.any()
    original = MadG(SHAPE, load_typology(), 8, layer_embedding, init="original")
    assert original(["swh"]).up.any()
    assert original.tables.scale == 1.0
    wide = MadG(AdapterShape((0,), 64, 32), load_typology(), 8, layer_embedding, init="original")
    assert wide.tables.down.std().item() == pytest.approx(1 / (8 + layer_embedding), rel=0.1)


def test_original_and_rescaled_generators_have_the_paper_s_sizes() -> None:
    # madg-facts: 512 x 6, bottleneck 32: MAD-G 6.4 M, MAD-G-LS 2.1 M, one static set 0.20 M
    shape = AdapterShape(tuple(range(6)), 512, 32)
    count = lambda source: sum(p.numel() for p in source.parameters()) / 1e6  # noqa: E731
    assert count(MadG(shape, load_typology(), 32)) == pytest.approx(6.4, abs=0.05)
    assert count(MadG(shape, load_typology(), 32, 32)) == pytest.approx(2.1, abs=0.1)
    assert count(Static(shape)) == pytest.approx(0.2, abs=0.01)


def test_static_is_the_same_for_every_language() -> None:
    source = Static(SHAPE)
    fill(source)
    made = source(["swh", "deu", "no such language"])
    assert made.down.shape == (3, 2, 2, 3)
    for name in TENSORS:
        assert torch.equal(getattr(made, name)[0], getattr(made, name)[2])


def test_two_stage_starts_at_its_static_part_and_the_mean_vector_stays_there() -> None:
    trained = ["swh", "yor", "deu", "fin"]
    source = TwoStage(SHAPE, load_typology(), trained, embedding_size=4).eval()
    start = source(["wol"])
    assert torch.equal(start.down[0], source.static.down)
    fill(source)
    moved = source(["wol"])
    assert not torch.allclose(moved.down[0], source.static.down)
    typology = load_typology()
    source.typology = typology.with_vector("mean", typology.vectors(trained).mean(0))
    torch.testing.assert_close(source(["mean"]).down[0], source.static.down, atol=1e-4, rtol=1e-4)


def test_two_stage_dropout_acts_in_training_only() -> None:
    source = TwoStage(SHAPE, load_typology(), ["swh", "yor"], 4, vector_dropout=0.999999)
    fill(source)
    source.train()
    assert torch.equal(source(["wol"]).up[0], source.static.up)
    source.eval()
    assert torch.equal(source(["wol"]).up, source(["wol"]).up)
    assert not torch.equal(source(["wol"]).up[0], source.static.up)


@pytest.mark.parametrize("kind", ["madg", "madg-ls", "two-stage"])
def test_gradients_reach_v_and_w(kind: str) -> None:
    config = SourceConfig.model_validate({"kind": kind, "bottleneck": 2, "embedding_size": 4})
    source = build_source(config, 8, 4, ["swh", "yor", "deu"])
    assert source is not None
    fill(source)
    made = source(["swh", "deu"])
    sum(getattr(made, name).square().sum() for name in TENSORS).backward()
    assert all(p.grad is not None and p.grad.any() for p in source.parameters())


def test_a_language_without_a_vector_is_refused() -> None:
    with pytest.raises(UnknownLanguageError):
        MadG(SHAPE, load_typology(), 4)(["hyw"])


def test_layers_that_the_backbone_lacks() -> None:
    with pytest.raises(ConfigError, match="from 0 to 3"):
        build_source(SourceConfig(kind="static", layers=(2, 4)), 8, 4)


def test_upper_half_by_default() -> None:
    source = build_source(SourceConfig(kind="static"), 8, 6)
    assert source is not None and source.shape.layers == (3, 4, 5)
