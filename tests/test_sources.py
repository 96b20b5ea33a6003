from pathlib import Path

import numpy as np
import pytest
import torch

from madg_speech.adapters import TENSORS, AdapterShape
from madg_speech.backbones import load_backbone
from madg_speech.checkpoint import ModelConfig
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import ShrinkConfig, SourceConfig, UnseenConfig
from madg_speech.errors import ConfigError, UnknownLanguageError
from madg_speech.kin import reach
from madg_speech.model import AdaptedModel
from madg_speech.sources import build_source
from madg_speech.sources.base import WeightSource
from madg_speech.sources.madg import MadG
from madg_speech.sources.per_language import PerLanguage
from madg_speech.sources.static import Static
from madg_speech.sources.two_stage import TwoStage
from madg_speech.splits import clade_of
from madg_speech.text.vocabulary import Vocabulary
from madg_speech.typology import load_typology

SHAPE = AdapterShape((2, 5), hidden_size=3, bottleneck=2)


TRAINED = ["swh", "yor", "deu", "fin", "zul"]
# one line for each way to make weights; what is left out is tiny
SOURCES: dict[str, dict[str, object]] = {
    "static": {"kind": "static"},
    "static-wide": {"kind": "static-wide", "rival": "madg-ls"},
    "per-language": {"kind": "per-language"},
    "tipa": {"kind": "per-language", "unseen": {"rule": "weighted"}},
    "madg": {"kind": "madg"},
    "madg-ls": {"kind": "madg-ls"},
    "madg-gate": {"kind": "madg", "gate": True},
    "two-stage": {"kind": "two-stage"},
    "two-stage-per-layer": {"kind": "two-stage", "per_layer": True},
    "two-stage-gate": {"kind": "two-stage", "gate": True},
    "two-stage-interpolated": {"kind": "two-stage", "interpolation": 0.5},
    "two-stage-effects": {"kind": "two-stage", "effects": True},
    "two-stage-near": {"kind": "two-stage", "shrink": {"rule": "nearest"}},
    "two-stage-gp": {"kind": "two-stage", "shrink": {"rule": "gp"}},
    "two-stage-ids": {"kind": "two-stage", "typology": "language-id"},
    "madg-ids": {
        "kind": "madg-ls",
        "typology": "language-id",
        "unseen": {"rule": "clade-mean"},
    },
    "two-stage-lineage": {"kind": "two-stage", "typology": "lineage+geography"},
    "two-stage-shuffled": {
        "kind": "two-stage",
        "typology": {
            "permutation": dict(zip([*TRAINED, "tsn"], ["tsn", *TRAINED], strict=True)),
            "shuffle": "all",
        },
    },
}
SIZES = {"bottleneck": 2, "embedding_size": 4, "layer_embedding_size": 3}


def build(name: str) -> WeightSource:
    config = SourceConfig.model_validate(SIZES | SOURCES[name])
    source = build_source(config, 8, 4, TRAINED)
    assert source is not None
    fill(source)
    return source.eval()


@pytest.mark.parametrize("name", SOURCES)
def test_a_mixture_of_languages_gets_what_each_gets_alone(name: str) -> None:
    source = build(name)
    mixed = source(["tsn", "deu", "swh"])
    for row, language in enumerate(["tsn", "deu", "swh"]):
        alone = source([language])
        assert alone.shape == source.shape
        for tensor in TENSORS:
            torch.testing.assert_close(getattr(mixed, tensor)[row], getattr(alone, tensor)[0])


@pytest.mark.parametrize("name", SOURCES)
def test_a_checkpoint_gives_the_same_weights(name: str, tiny_whisper: Path, tmp_path: Path) -> None:
    config = SourceConfig.model_validate(SIZES | SOURCES[name])
    encoder = load_backbone(str(tiny_whisper))
    spec = ModelConfig(
        backbone=BackboneConfig(name=str(tiny_whisper)),
        hidden_size=encoder.hidden_size,
        layers=len(encoder.layers),
        source=config,
        languages=tuple(TRAINED),
    )
    source = build_source(config, encoder.hidden_size, len(encoder.layers), TRAINED)
    model = AdaptedModel(encoder, source, Vocabulary.romanized(), spec).eval()
    fill(model.source)
    model.save_pretrained(tmp_path / "checkpoint")
    again = AdaptedModel.from_pretrained(tmp_path / "checkpoint")
    before, after = model.source(["tsn", "deu"]), again.source(["tsn", "deu"])
    for tensor in TENSORS:
        assert torch.equal(getattr(before, tensor), getattr(after, tensor))


@pytest.mark.parametrize("name", SOURCES)
def test_gradients_reach_every_parameter(name: str) -> None:
    source = build(name).eval()  # training drops whole vectors, at times all of them
    made = source(TRAINED)
    weights = [torch.randn(getattr(made, tensor).shape) for tensor in TENSORS]
    sum((getattr(made, t) * w).sum() for t, w in zip(TENSORS, weights, strict=True)).backward()
    assert all(p.grad is not None and p.grad.any() for p in source.parameters())


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


def test_interpolation_goes_part_of_the_way_to_a_near_relative() -> None:
    trained = ["zul", "xho", "swh", "tsn", "deu", "cmn"]
    typology = load_typology()
    source = TwoStage(
        SHAPE, typology, trained, 289, feature_dropout=0, vector_dropout=0, interpolation=0.5
    )
    source.embed.weight.data = torch.eye(289)  # λ is the centred vector itself
    source.train()
    vectors = dict(zip(trained, torch.from_numpy(typology.vectors(trained)), strict=True))
    own = vectors["zul"] - torch.stack(list(vectors.values())).mean(0)
    steps: dict[str, list[float]] = {}
    for _ in range(60):
        moved = source.embedding(["zul"])[0].detach() - own
        for name in trained[1:]:
            way = vectors[name] - vectors["zul"]
            share = float(moved @ way / (way @ way))
            if torch.allclose(moved, share * way, atol=1e-5):
                steps.setdefault(name, []).append(share)
    assert set(steps) == {"xho", "swh", "tsn"} and sum(map(len, steps.values())) == 60
    taken = [share for shares in steps.values() for share in shares]
    assert 0 <= min(taken) < 0.1 and 0.4 < max(taken) <= 0.5
    torch.testing.assert_close(source.eval().embedding(["zul"])[0], own)


def test_effects_are_of_trained_languages_alone() -> None:
    source = TwoStage(
        SHAPE, load_typology(), TRAINED, 4, feature_dropout=0, vector_dropout=0, effects=True
    ).eval()
    plain = source.embedding(["yor", "wol", "swh"])
    assert source.effects is not None
    source.effects.data = torch.arange(20.0).reshape(5, 4)
    moved = source.embedding(["yor", "wol", "swh"]) - plain
    torch.testing.assert_close(moved, torch.tensor([[4.0, 5, 6, 7], [0, 0, 0, 0], [0, 1, 2, 3]]))
    source.train()
    kept = [bool((source.embedding(["yor"]) - plain[:1]).abs().max() > 1) for _ in range(60)]
    assert 10 < sum(kept) < 50  # half of the time V is alone


def test_what_no_training_language_shows_moves_no_adapter() -> None:
    source = TwoStage(SHAPE, load_typology(), TRAINED, embedding_size=4).eval()
    source.tables.up.data.normal_()
    same = load_typology().vectors(TRAINED)
    constant = (same.min(0) == same.max(0)).nonzero()[0]
    other = load_typology().vectors(["swh"])[0].copy()
    other[constant] = 1 - other[constant]
    assert len(constant) > 50
    source.typology = source.typology.with_vector("other", other)
    assert torch.equal(source(["other"]).up, source(["swh"]).up)


@pytest.mark.parametrize("name", ["uriel", "lineage+geography", "observed", "language-id"])
def test_one_training_language_makes_two_stages_a_static_source(name: str) -> None:
    config = SourceConfig.model_validate(SIZES | {"kind": "two-stage", "typology": name})
    source = build_source(config, 8, 4, ["eng"])
    assert source is not None
    source.get_parameter("tables.up").data.normal_()
    source.get_parameter("static.up").data.normal_()
    made = source.eval()(["eng", "fin"])
    assert torch.equal(made.up[0], made.up[1])


def test_static_wide_has_the_size_of_its_rival() -> None:
    shape = {"layers": (3, 4, 5), "bottleneck": 32}
    for kind in ("madg", "madg-ls", "two-stage"):
        rival = build_source(SourceConfig.model_validate({"kind": kind, **shape}), 512, 6, TRAINED)
        config = {"kind": "static-wide", "rival": kind, **shape}
        wide = build_source(SourceConfig.model_validate(config), 512, 6, TRAINED)
        sizes = [sum(p.numel() for p in source.parameters()) for source in (rival, wide)]
        assert abs(sizes[0] - sizes[1]) <= 3 * (2 * 512 + 1) / 2


def test_measuring_the_rival_changes_no_other_start() -> None:
    torch.manual_seed(0)
    wide = build_source(SourceConfig.model_validate(SIZES | SOURCES["static-wide"]), 8, 4, TRAINED)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert wide is not None
    assert torch.equal(Static(wide.shape).down, wide.down)
    assert torch.equal(torch.get_rng_state(), state)


def test_per_language_rows_and_their_mixtures_by_hand() -> None:
    source = build("tipa")
    made = source(["zul", "tsn"])
    assert torch.equal(made.up[0], source.up[TRAINED.index("zul")])
    weights = np.exp(-load_typology().distances("tsn", TRAINED) / 0.05)
    expected = sum(
        float(w) * row for w, row in zip(weights / weights.sum(), source.up, strict=True)
    )
    torch.testing.assert_close(made.up[1], expected, atol=1e-5, rtol=1e-4)
    strict = PerLanguage(SHAPE, TRAINED, UnseenConfig(rule="error"), load_typology())
    with pytest.raises(UnknownLanguageError, match="tsn was not trained on"):
        strict(["tsn"])


def test_learned_ids_are_an_embedding_for_each_language() -> None:
    source = build("madg-ids")
    scale = source.typology.vectors(["swh"]).max()
    learned = source.embed.weight.T * scale + source.embed.bias  # a row for each trained language
    torch.testing.assert_close(source.embedding(TRAINED), learned)
    bantu = [TRAINED.index("swh"), TRAINED.index("zul"), TRAINED.index("yor")]
    assert clade_of("yor") == clade_of("swh")
    torch.testing.assert_close(source.embedding(["tsn"])[0], learned[bantu].mean(0))


def test_a_gate_mixes_basis_adapters_and_never_leaves_their_hull() -> None:
    source = build("madg-gate")
    wild = source.typology.with_vector("wild", np.full(289, 1e6, np.float32))
    source.typology = wild
    shares = source.embedding(["wild", "deu"])
    torch.testing.assert_close(shares.sum(-1), torch.ones(2))
    logits = source.embed(torch.from_numpy(wild.vectors(["deu"])))[0]
    torch.testing.assert_close(shares[1], logits.exp() / logits.exp().sum())
    basis = source.tables.up  # [layer, H, b, K]
    expected = sum(shares[1, k] * basis[..., k] for k in range(4))
    torch.testing.assert_close(source(["deu"]).up[0], expected)
    extreme = source(["wild"]).up[0]
    assert (extreme <= basis.amax(-1) + 1e-5).all() and (extreme >= basis.amin(-1) - 1e-5).all()


def test_the_gate_of_two_stages_is_closed_at_the_mean() -> None:
    source = build("two-stage-gate")
    source.typology = source.typology.with_vector("mean", source.mean.numpy())
    torch.testing.assert_close(source(["mean"]).up[0], source.static.up, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(source(["deu"]).up[0], source.static.up)


@pytest.mark.parametrize("rule", ["nearest", "gp"])
def test_shrinkage_by_hand(rule: str) -> None:
    plain, shrunk = build("two-stage"), build("two-stage")
    shrunk.shrink = ShrinkConfig.model_validate({"rule": rule, "scale": 0.1})
    near = np.exp(-load_typology().distances("tsn", TRAINED) / 0.1)
    kernel = np.exp([-load_typology().distances(code, TRAINED) / 0.1 for code in TRAINED])
    factor = near.max() if rule == "nearest" else near @ np.linalg.inv(kernel) @ near
    assert 0 < factor < 1
    static = plain.static.up
    expected = static + float(factor) * (plain(["tsn"]).up[0] - static)
    torch.testing.assert_close(shrunk(["tsn"]).up[0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(shrunk(TRAINED).up, plain(TRAINED).up, atol=1e-4, rtol=1e-4)


def test_shrinkage_bears_languages_with_one_vector() -> None:
    twins = [*TRAINED, "lav", "lvs"]
    config = ShrinkConfig(rule="gp", scale=0.1)
    with_twins = reach("lit", twins, config, load_typology())
    assert with_twins == pytest.approx(reach("lit", twins[:-1], config, load_typology()), abs=1e-6)
    assert reach("lav", twins, config, load_typology()) == pytest.approx(1, abs=1e-6)


def test_a_language_without_a_vector_is_refused() -> None:
    with pytest.raises(UnknownLanguageError):
        MadG(SHAPE, load_typology(), 4)(["hyw"])


def test_layers_that_the_backbone_lacks() -> None:
    with pytest.raises(ConfigError, match="from 0 to 3"):
        build_source(SourceConfig(kind="static", layers=(2, 4)), 8, 4)


def test_upper_half_by_default() -> None:
    source = build_source(SourceConfig(kind="static"), 8, 6)
    assert source is not None and source.shape.layers == (3, 4, 5)
