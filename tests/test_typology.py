"""URIEL vectors, observed shares, distances and selections."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from madg_speech.errors import DataError, UnknownLanguageError
from madg_speech.language_data import uriel
from madg_speech.languages import all_languages
from madg_speech.typology import (
    DESCRIBED_BY,
    described_by,
    distances,
    load_typology,
    nearest,
    observed_share,
    observed_share_by_block,
    read_vector,
    select_diverse,
    select_random,
)

WELL_KNOWN = [lang.iso for lang in all_languages() if observed_share(lang.iso) > 0.85]


def test_blocks_stand_in_order() -> None:
    names = load_typology().feature_names
    prefixes = [name.split("_")[0] for name in names]
    assert prefixes == ["S"] * 103 + ["P"] * 28 + ["INV"] * 158
    assert load_typology().dim == 289


def test_every_code_has_a_vector() -> None:
    vectors = load_typology().vectors([lang.iso for lang in all_languages()])
    assert vectors.shape == (7970, 289)
    assert vectors.dtype == np.float32
    assert np.isin(vectors, (0.0, 1.0)).all()


def test_vectors_follow_feature_names() -> None:
    english, japanese = load_typology().vectors(["eng", "jpn"])
    names = load_typology().feature_names
    assert (english[names.index("S_SVO")], japanese[names.index("S_SOV")]) == (1, 1)


@pytest.mark.parametrize(
    ("one", "other", "features"), [("bos", "srp", 3), ("ind", "msa", 7), ("ind", "zsm", 18)]
)
def test_known_differences(one: str, other: str, features: int) -> None:
    assert distances(one, [other])[0] * 289 == pytest.approx(features)


def test_observed_shares_of_uriel() -> None:
    table = uriel.read_uriel()
    assert table.observed.mean() == pytest.approx(0.165, abs=0.0005)
    assert (~table.observed.any(axis=1)).sum() == 4613
    assert observed_share("eng") > 0.98
    assert observed_share("wof") == 0.0


def test_block_shares_add_up() -> None:
    blocks = observed_share_by_block("wol")
    weighted = (103 * blocks["syntax"] + 28 * blocks["phonology"] + 158 * blocks["inventory"]) / 289
    assert weighted == pytest.approx(observed_share("wol"))


def test_standard_varieties_borrow_only_from_far_better_described_macro_entries() -> None:
    table = uriel.read_uriel()
    counts = dict(zip(table.isos.tolist(), table.observed.sum(axis=1), strict=True))
    for individual, macro in DESCRIBED_BY.items():
        assert counts[individual] < counts[macro] / 2
        assert distances(individual, [macro])[0] == 0
    assert (described_by("lvs"), described_by("lav"), described_by("wol")) == ("lav", "lav", "wol")
    assert observed_share("lvs") == observed_share("lav") > 0.3


def test_unknown_code() -> None:
    with pytest.raises(UnknownLanguageError, match="xyz"):
        load_typology().vectors(["eng", "xyz"])
    with pytest.raises(UnknownLanguageError):
        observed_share("xyz")


def test_with_vector_adds_without_changing_the_original() -> None:
    mine = np.full(289, 0.5, np.float32)
    extended = load_typology().with_vector("qaa", mine)
    assert (extended.vectors(["qaa", "eng"])[0] == 0.5).all()
    with pytest.raises(UnknownLanguageError):
        load_typology().vectors(["qaa"])
    with pytest.raises(DataError):
        load_typology().with_vector("qaa", mine[:3])


def test_reads_vectors_in_three_formats(tmp_path: Path) -> None:
    vector = load_typology().vectors(["wol"])[0]
    (tmp_path / "v.json").write_text(json.dumps(vector.tolist()))
    np.save(tmp_path / "v.npy", vector)
    np.savetxt(tmp_path / "v.txt", vector)
    for name in ("v.json", "v.npy", "v.txt"):
        np.testing.assert_array_equal(read_vector(tmp_path / name), vector)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("v.json", "[1, 0]", "shape"),
        ("v.json", json.dumps([0] * 288 + [2]), "number 289 is 2"),
        ("v.json", "[0, NaN" + ", 0" * 287 + "]", "number 2 is nan"),
        ("v.json", '{"a": 1}', "JSON"),
        ("v.json", "[[1], [1, 2]]", "JSON"),
        ("v.txt", "one two", "text"),
        ("v.txt", "", "shape"),
        ("v.npy", "no array", "npy"),
    ],
)
def test_bad_vector_files(tmp_path: Path, name: str, content: str, reason: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=reason) as raised:
        read_vector(path)
    assert str(path) in str(raised.value)


def test_missing_vector_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        read_vector(tmp_path / "none.json")


def test_nearest_is_sorted_and_leaves_out_the_language_itself() -> None:
    found = nearest("spa", WELL_KNOWN, 5)
    assert [n.distance for n in found] == sorted(n.distance for n in found)
    assert "spa" not in [n.iso for n in found]
    everything = dict(zip(WELL_KNOWN, distances("spa", WELL_KNOWN), strict=True))
    del everything["spa"]
    assert found[0].distance == min(everything.values())


def least_distance(isos: list[str]) -> float:
    return min(float(distances(one, [other])[0]) for one, other in combinations(isos, 2))


@pytest.mark.parametrize("seed", range(3))
def test_diverse_selection_beats_random(seed: int) -> None:
    diverse = select_diverse(WELL_KNOWN, 12, seed)
    assert len(set(diverse)) == 12
    randoms = [least_distance(select_random(WELL_KNOWN, 12, s)) for s in range(10)]
    assert least_distance(diverse) > max(randoms)


def test_selections_depend_on_the_seed_only() -> None:
    backwards = WELL_KNOWN[::-1]
    for select in (select_diverse, select_random):
        assert select(WELL_KNOWN, 8, 1) == select(backwards, 8, 1)
        assert select(WELL_KNOWN, 8, 1) != select(WELL_KNOWN, 8, 2)
        with pytest.raises(DataError, match="3 languages of 2"):
            select(["eng", "wol", "wol"], 3, 0)


def test_diverse_selection_of_everything_with_identical_vectors() -> None:
    assert sorted(select_diverse(["lvs", "lav", "eng"], 3, 0)) == ["eng", "lav", "lvs"]


def test_cache_is_used_and_survives_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path))
    fresh = uriel.read_uriel.__wrapped__()
    (kept,) = tmp_path.glob("*.npz")
    assert kept.stat().st_size < 2_000_000
    started = time.perf_counter()
    cached = uriel.read_uriel.__wrapped__()
    assert time.perf_counter() - started < 0.3
    for one, other in zip(fresh, cached, strict=True):
        np.testing.assert_array_equal(one, other)
    kept.write_bytes(kept.read_bytes()[:1000])
    np.testing.assert_array_equal(uriel.read_uriel.__wrapped__().values, fresh.values)


def test_works_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "file" / "cache"))
    assert uriel.read_uriel.__wrapped__().values.shape == (7970, 289)


def test_needs_no_torch() -> None:
    code = (
        "import sys; from madg_speech import languages, typology; languages.resolve('sw'); "
        "typology.load_typology(); "
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
