"""Resolution of codes, tags and names."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.errors import UnknownLanguageError
from madg_speech.language_data import tables
from madg_speech.languages import Language, all_languages, clade_members, resolve, search


@pytest.mark.parametrize(
    ("query", "iso"),
    [
        ("wol", "wol"), ("wo", "wol"), ("Wolof", "wol"), (" WOLOF ", "wol"),
        ("sw", "swh"), ("swa", "swh"), ("swh", "swh"), ("sw-KE", "swh"), ("sw_ke", "swh"),
        ("Swahili", "swh"), ("zh-Hant-TW", "cmn"), ("zh-yue", "yue"), ("Mandarin", "cmn"),
        ("ar", "arb"), ("et", "ekk"), ("lv", "lvs"), ("no", "nob"), ("nn", "nno"), ("ms", "zsm"),
        ("fa", "pes"), ("Farsi", "pes"), ("or", "ory"), ("ne", "npi"), ("sq", "als"), ("mn", "khk"),
        ("mg", "plt"), ("om", "gaz"), ("qu", "quz"), ("gn", "gug"), ("ku", "kmr"), ("yi", "ydd"),
        ("ps", "pbt"), ("kok", "gom"), ("az", "azj"), ("uz", "uzn"), ("gre", "ell"), ("iw", "heb"),
        ("jw", "jav"), ("sh", "hbs"), ("san", "san"), ("guarani", "gug"),
        ("de-DE-u-co-phonebk", "deu"),
    ],
)  # fmt: skip
def test_resolves(query: str, iso: str) -> None:
    assert resolve(query).iso == iso


def test_macrolanguage_is_announced() -> None:
    said: list[str] = []
    resolve("sw-KE", said.append)
    assert said == ["sw is a macrolanguage: using swh (Swahili)"]
    said.clear()
    resolve("swh", said.append)
    assert said == []


def test_macrolanguage_without_a_chosen_variety_keeps_its_own_entry() -> None:
    said: list[str] = []
    assert resolve("din", said.append).iso == "din"
    assert "macrolanguage" in said[0]


def test_code_that_is_also_a_name_is_announced() -> None:
    said: list[str] = []
    assert resolve("Mon", said.append).iso == "khk"
    assert any("mnw" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("query", "near"), [("Swahilly", "Swahili"), ("Wolff", "wol"), ("wplof", "wol"), ("zz", "azz")]
)
def test_wrong_query_names_near_matches(query: str, near: str) -> None:
    with pytest.raises(UnknownLanguageError, match=near):
        resolve(query)


def test_shared_name_lists_the_codes() -> None:
    with pytest.raises(UnknownLanguageError, match=r"kah.*reg"):
        resolve("Kara")


@pytest.mark.parametrize("query", ["tok", "Toki Pona"])
def test_language_without_uriel_entry_names_both_ways_in(query: str) -> None:
    with pytest.raises(UnknownLanguageError) as raised:
        resolve(query)
    assert "--vector FILE" in str(raised.value)
    assert "--adapter DIR" in str(raised.value)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=12),
        st.text(string.ascii_letters + "-_ ", max_size=9),
        st.text(string.ascii_lowercase, min_size=2, max_size=3),
    )
)
def test_any_text_is_a_language_or_our_error(text: str) -> None:
    with suppress(UnknownLanguageError):
        assert isinstance(resolve(text), Language)


def test_every_entry_is_well_formed_and_found_by_its_code() -> None:
    listed = all_languages()
    codes = [language.iso for language in listed]
    assert len(listed) == 7970
    assert codes == sorted(set(codes))
    for language in listed:
        assert language.name
        assert language.latitude is None or -90 <= language.latitude <= 90
        assert language.longitude is None or -180 <= language.longitude <= 180
        assert all(clade.strip() == clade and clade for clade in language.lineage)
        found = resolve(language.iso).iso
        renamed = tables.macrolanguages() | {"alb": "als", "gre": "ell"}
        assert found == renamed.get(language.iso, language.iso)


def test_lineage_runs_from_family_to_innermost_clade() -> None:
    lineage = resolve("swh").lineage
    assert lineage[0] == "Atlantic-Congo"
    assert lineage.index("Narrow Bantu") < lineage.index("East Bantu")
    assert resolve("eus").lineage == ()
    assert resolve("ara").lineage[0] == "Afro-Asiatic"


def test_coordinates() -> None:
    wolof = resolve("wol")
    assert wolof.latitude == pytest.approx(15.25, abs=0.1)
    assert wolof.longitude == pytest.approx(-15.38, abs=0.1)


@pytest.mark.parametrize(
    ("query", "script"),
    [
        ("eng", "alphabet"), ("kor", "alphabet"), ("rus", "alphabet"), ("jpn", "logographic"),
        ("cmn", "logographic"), ("chr", "syllabary"), ("vai", "syllabary"), ("amh", "abugida"),
        ("hin", "abugida"), ("arb", "abjad"), ("pes", "abjad"), ("heb", "abjad"),
        ("ckb", "alphabet"), ("ydd", "alphabet"), ("ase", "unknown"),
    ],
)  # fmt: skip
def test_script_type(query: str, script: str) -> None:
    assert resolve(query).script == script


def test_backbones_knowing_a_language() -> None:
    assert resolve("sw").known_to == {"whisper", "xls-r", "xlm-r", "mbert"}
    assert resolve("kab").known_to == {"xls-r"}
    assert resolve("wol").known_to == frozenset()
    assert sum("whisper" in language.known_to for language in all_languages()) >= 100


def test_stored_tables_hold_only_iso_codes() -> None:
    iso = tables.iso_languages()
    for macro, individual in tables.macrolanguages().items():
        assert individual in [member.pt3 for member in iso[macro].individuals()]
    assert set(tables.backbones_knowing()) <= set(iso)


def test_clade_by_its_name_or_its_head_word() -> None:
    bantu = {language.iso for language in clade_members("bantu")}
    assert {"swh", "zul", "lin"} <= bantu
    assert not {"wol", "cri", "eng"} & bantu
    assert {language.iso for language in clade_members("Germanic")} >= {"eng", "isl"}
    with pytest.raises(UnknownLanguageError, match="Germanic"):
        clade_members("Germanik")


def test_search_by_part_of_a_name() -> None:
    assert {"swh", "swc"} <= {language.iso for language in search("swahili")}
    assert search("  ") == ()
