import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.errors import DataError
from madg_speech.languages import all_languages
from madg_speech.shuffling import draw_permutation
from madg_speech.splits import NEAR_DUPLICATE, clade_of
from madg_speech.typology import distances, observed_share, select_random

CODES = [lang.iso for lang in all_languages() if observed_share(lang.iso) > 0.5]
CLOSE = ["bos", "hrv", "srp", "ind", "msa", "zsm", "dan", "nob", "swe"]


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.sampled_from([*CODES, *CLOSE]), min_size=12, max_size=40),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_a_permutation_without_fixed_points_or_near_duplicates(
    codes: set[str], seed: int, within_family: bool
) -> None:
    try:
        drawn = draw_permutation(codes, seed, within_family)
    except DataError:
        # only where more than half of the set is one cluster of near-duplicates
        crowd = max(int((distances(c, sorted(codes)) <= NEAR_DUPLICATE).sum()) for c in codes)
        assert 2 * crowd > len(codes)
        return
    assert drawn.keys() == codes and set(drawn.values()) == codes
    assert all(distances(own, [other])[0] > NEAR_DUPLICATE for own, other in drawn.items())
    assert drawn == draw_permutation(sorted(codes, reverse=True), seed, within_family)


def test_seeds_differ_and_spread() -> None:
    codes = select_random(CODES, 12, 0)
    drawn = [draw_permutation(codes, seed) for seed in range(60)]
    assert len({tuple(p.values()) for p in drawn}) > 50
    given_to_first = {p[codes[0]] for p in drawn}
    assert len(given_to_first) >= 9


def test_within_family_where_there_is_family() -> None:
    codes = ["deu", "nld", "fra", "spa", "yor", "swh", "zul", "fin", "hun", "jpn"]
    drawn = draw_permutation(codes, 3, within_family=True)
    family = {code: clade_of(code)[0] for code in codes}
    strangers = {own for own, other in drawn.items() if family[own] != family[other]}
    assert "jpn" in strangers and len(strangers) == 2  # an isolate, and whoever makes room for it


@pytest.mark.parametrize("codes", [["deu"], ["bos", "srp"], ["bos", "srp", "hrv", "deu"]])
def test_impossible_sets(codes: list[str]) -> None:
    with pytest.raises(DataError, match="cannot be exchanged"):
        draw_permutation(codes, 0)
