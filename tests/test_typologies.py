import subprocess
import sys

import numpy as np
import pytest

from madg_speech.config.source import SourceConfig, TypologyConfig, UnseenConfig
from madg_speech.errors import UnknownLanguageError
from madg_speech.kin import shares
from madg_speech.language_data.urielplus import read_stated
from madg_speech.languages import resolve
from madg_speech.typologies import build_typology, settle_permutation
from madg_speech.typology import load_typology, observed_features

TRAINED = ["deu", "fin", "nld", "spa", "swh", "yor", "zul"]
NAMES = [
    "uriel",
    "syntax",
    "phonology",
    "inventory",
    "observed",
    "uriel+",
    "lineage+geography",
    "random",
    "language-id",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_conditioning_varies_as_much_as_uriel_over_the_trained_languages(name: str) -> None:
    typology = build_typology(TypologyConfig.model_validate({"name": name}), TRAINED)
    vectors = typology.vectors([*TRAINED, "wol"])
    assert vectors.shape == (8, typology.dim) and vectors.dtype == np.float32
    uriel = load_typology().vectors(TRAINED)
    assert vectors[:-1].var(axis=0).sum() == pytest.approx(uriel.var(axis=0).sum(), rel=1e-4)
    with pytest.raises(UnknownLanguageError):
        typology.vectors(["no code"])


def test_blocks_are_columns_of_uriel() -> None:
    sizes = {"syntax": slice(103), "phonology": slice(103, 131), "inventory": slice(131, 289)}
    for name, columns in sizes.items():
        block = build_typology(TypologyConfig.model_validate({"name": name}), TRAINED)
        ratio = block.vectors(["wol"])[0].max()
        expected = load_typology().vectors(["wol"])[0, columns] * ratio
        np.testing.assert_allclose(block.vectors(["wol"])[0], expected)


def test_observed_hides_imputed_values_and_says_which() -> None:
    typology = build_typology(TypologyConfig(name="observed"), TRAINED)
    vector = typology.vectors(["wol"])[0]
    stated = observed_features("wol")
    values, mask = vector[:289] / vector.max(), vector[289:] / vector.max()
    np.testing.assert_array_equal(mask, stated)
    np.testing.assert_array_equal(values, load_typology().vectors(["wol"])[0] * stated)


def test_urielplus_states_more_and_fills_the_rest_from_the_clade() -> None:
    stated = read_stated()
    assert len(stated.features) == 289 + 174
    typology = build_typology(TypologyConfig(name="uriel+"), ())
    english, german, isolate = typology.vectors(["eng", "deu", "eus"])
    known = ~np.isnan(stated.values["eng"])
    np.testing.assert_array_equal(english[known], stated.values["eng"][known])
    assert english[stated.features.index("S_DEFINITE_ARTICLE")] == 1
    assert "deu" not in stated.values
    np.testing.assert_array_equal(german[:289], load_typology().vectors(["deu"])[0])
    lineages = {iso: resolve(iso).lineage for iso in stated.values}
    for column in (300, 400, 462):
        for clade in reversed(resolve("deu").lineage):
            values = [v[column] for i, v in stated.values.items() if clade in lineages[i]]
            if not np.isnan(values).all():
                assert german[column] == pytest.approx(np.nanmean(values), rel=1e-5)
                break
    assert ((isolate >= 0) & (isolate <= 1)).all()


def test_lineage_and_place() -> None:
    typology = build_typology(TypologyConfig(name="lineage+geography"), TRAINED)
    dutch, tswana = typology.vectors(["nld", "tsn"])
    clades = typology.feature_names[:-3]
    shared = {c for c, value in zip(clades, tswana, strict=False) if value}
    assert shared == set(resolve("tsn").lineage) & {c for i in TRAINED for c in resolve(i).lineage}
    scale = dutch[:-3].max()
    place = resolve("nld")
    assert place.latitude is not None and place.longitude is not None
    north, east = np.radians(place.latitude), np.radians(place.longitude)
    assert dutch[-1] / scale == pytest.approx(np.sin(north))
    assert dutch[-2] / dutch[-3] == pytest.approx(np.tan(east), rel=1e-4)
    assert np.linalg.norm(dutch[-3:]) == pytest.approx(scale)


def test_random_vectors_are_fixed_by_seed_and_language() -> None:
    def vectors(seed: int) -> np.ndarray:
        return build_typology(TypologyConfig(name="random", seed=seed), ()).vectors(["wol", "hau"])

    np.testing.assert_array_equal(vectors(1), vectors(1))
    assert (vectors(1) != vectors(2)).any() and (vectors(1)[0] != vectors(1)[1]).any()
    many = build_typology(TypologyConfig(name="random"), ()).vectors(
        list(load_typology()._rows)[:400]
    )
    frequency = load_typology().vectors(list(load_typology()._rows)).mean(axis=0)
    np.testing.assert_allclose(many.mean(axis=0), frequency, atol=0.11)


def test_language_ids_have_one_column_each_and_mixtures_for_the_rest() -> None:
    ids = build_typology(TypologyConfig(name="language-id"), TRAINED, UnseenConfig(rule="mean"))
    own = ids.vectors(TRAINED)
    scale = own.max()
    np.testing.assert_array_equal(own, np.eye(len(TRAINED), dtype=np.float32) * scale)
    np.testing.assert_allclose(ids.vectors(["wol"])[0], own.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("shuffle", ["all", "family"])
def test_a_settled_permutation_survives_the_checkpoint_s_json(shuffle: str) -> None:
    config = TypologyConfig.model_validate({"shuffle": shuffle, "languages": ["wol"], "seed": 4})
    settled = settle_permutation(config, TRAINED)
    assert settle_permutation(settled, ["fra"]) == settled
    source = SourceConfig(typology=settled)
    again = SourceConfig.model_validate_json(source.model_dump_json()).typology
    assert again.permutation is not None and again.permutation.keys() == {*TRAINED, "wol"}
    shuffled = build_typology(again, TRAINED)
    for own, other in again.permutation.items():
        np.testing.assert_array_equal(shuffled.vectors([own]), load_typology().vectors([other]))
    with pytest.raises(UnknownLanguageError, match="8 languages that vectors were exchanged among"):
        shuffled.vectors(["hau"])


def test_folds_of_one_set_share_their_permutation() -> None:
    everything = [*TRAINED, "wol", "hau", "fra"]
    config = TypologyConfig(shuffle="all", languages=tuple(everything))
    folds = [settle_permutation(config, everything[i:]).permutation for i in range(4)]
    assert all(fold == folds[0] for fold in folds)


def test_a_shuffled_lineage_has_the_columns_of_the_vectors_in_use() -> None:
    config = TypologyConfig(name="lineage+geography", shuffle="all", languages=("wol", "jpn"))
    settled = settle_permutation(config, TRAINED)
    typology = build_typology(settled, TRAINED)
    assert (typology.vectors(TRAINED)[:, :-3].max(axis=0) > 0).all()


def test_shares_by_hand() -> None:
    trained = ["deu", "nld", "swh", "zul"]

    def of(language: str, rule: str, temperature: float = 0.05) -> list[float]:
        unseen = UnseenConfig.model_validate({"rule": rule, "temperature": temperature})
        found: list[float] = shares(language, trained, unseen, load_typology()).tolist()
        return found

    for rule in ("error", "nearest", "mean", "clade-mean", "weighted"):
        assert of("nld", rule) == [0, 1, 0, 0]
    assert of("afr", "mean") == [0.25] * 4
    assert of("afr", "nearest") in ([1, 0, 0, 0], [0, 1, 0, 0])
    assert of("tsn", "clade-mean") == [0, 0, 0.5, 0.5]
    assert of("spa", "clade-mean") == [0.5, 0.5, 0, 0]  # no clade member: the family's
    assert of("jpn", "clade-mean") == [0.25] * 4
    distances = load_typology().distances("afr", trained)
    weights = np.exp(-distances / 0.1)
    np.testing.assert_allclose(of("afr", "weighted", 0.1), weights / weights.sum(), rtol=1e-5)
    with pytest.raises(UnknownLanguageError, match=r"source\.unseen\.rule"):
        of("afr", "error")


def test_needs_no_torch() -> None:
    code = (
        "import sys; from madg_speech import typologies; "
        "from madg_speech.config.source import TypologyConfig; "
        "typologies.build_typology(TypologyConfig(name='random'), ['deu', 'fin']); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
