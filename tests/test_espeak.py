import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madg_speech.data.manifest import read_manifest
from madg_speech.data_prep import espeak as corpus
from madg_speech.data_prep.cldr_text import cldr_sentences
from madg_speech.data_prep.espeak import Recipe, prepare_espeak
from madg_speech.data_prep.sentences import is_speakable, split_clauses, tidy
from madg_speech.errors import BackboneError, ConfigError, DataError, UnknownLanguageError
from madg_speech.text import espeak_engine
from madg_speech.text.espeak_table import choose_languages, load_table

pytest.importorskip("babel")


@pytest.fixture(scope="module")
def engine():
    try:
        return espeak_engine.Engine()
    except BackboneError as error:
        pytest.skip(str(error))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_speech_is_the_same_whatever_was_spoken_before(engine):
    said = {"voice": "sw", "variant": "f2", "rate": 150, "pitch": 50, "pitch_range": 50}
    first = engine.speak("Habari ya asubuhi", **said)
    engine.speak("Good morning", "en-us", "m3", 170, 40, 60)
    assert len(first) > engine.sample_rate // 2
    assert np.array_equal(first, engine.speak("Habari ya asubuhi", **said))
    assert not np.array_equal(first, engine.speak("Habari ya asubuhi", **said | {"variant": "m3"}))


def test_an_unknown_voice_or_variant_is_refused(engine):
    for voice, variant in (("xx", "f2"), ("sw", "nobody")):
        with pytest.raises(ConfigError, match=r"no voice"):
            engine.speak("Habari", voice, variant, 150, 50, 50)


def test_a_crashing_text_costs_only_itself(engine, monkeypatch):
    convert = engine._convert
    monkeypatch.setattr(
        engine, "_convert", lambda text: espeak_engine.os._exit(3) if "!" in text else convert(text)
    )
    good, bad, other = engine.phonemes(["habari", "!", "asante"], "sw")
    assert good and other and bad is None


def test_words_of_another_script_show_in_phonemes(engine):
    assert "(en)" in engine.phonemes(["это Windows"], "ru")[0]


def test_each_voice_of_the_table_exists_or_its_language_is_reported(engine):
    if not engine.version.startswith("1.52"):
        pytest.skip("the table was checked against 1.52")
    missing = {voice for row in load_table() for voice in row.voices if voice not in engine.voices}
    assert missing <= {"fo", "kaa"}  # listed, but the wheel has no dictionary for them


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(espeak_engine, "find_spec", lambda name: None)
    monkeypatch.setattr(espeak_engine.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(BackboneError, match=r"madg-speech\[espeak\].*apt-get install espeak-ng"):
        espeak_engine.Engine()


def test_the_table_has_one_row_a_language_in_order():
    codes = [row.iso for row in load_table()]
    assert codes == sorted(set(codes))
    assert sum(row.off is None for row in load_table()) >= 90


def test_constructed_languages_are_off_unless_named():
    usual, skipped, _ = choose_languages(None, None, False)
    assert {"epo", "tlh", "hyw"} <= set(skipped) and "epo" not in {row.iso for row in usual}
    assert [row.iso for row in choose_languages(["epo"], None, False)[0]] == ["epo"]
    assert "epo" in {row.iso for row in choose_languages(None, None, True)[0]}


def test_macro_codes_and_names_find_the_language():
    chosen, _, _ = choose_languages(["swa", "zho", "Welsh"], None, False)
    assert [row.iso for row in chosen] == ["swh", "cmn", "cym"]


def test_an_unknown_language_names_near_ones_and_an_excluded_one_is_remarked_upon():
    with pytest.raises(UnknownLanguageError, match="swh"):
        choose_languages(["swhh"], None, False)
    _, _, remarks = choose_languages(None, ["ckb", "swh"], False)
    assert len(remarks) == 1 and "ckb" in remarks[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Habari ya asubuhi.", True),
        ("Ana miaka 12.", False),
        ("Tunatumia Windows на работе", False),
        ("Mkutano wa NATO", False),
        ("bei ni 5%", False),
        ("a & b c", False),
        ("ありがとう、トム。", True),
        ("君がいなければ", False),
        ("这是我父亲的楼。", True),
        ("สวัสดีครับ", True),
        ("नमस्ते दुनिया।", True),
        ("ab", False),
        ("a" * 300, False),
    ],
)
def test_only_what_is_read_as_written_is_speakable(text, expected):
    assert is_speakable(text) is expected


@given(st.text(max_size=300))
def test_clauses_add_nothing_and_are_tidy(text):
    for clause in split_clauses(text):
        assert clause in tidy(text) and clause == tidy(clause)


@given(st.text(max_size=60))
def test_speakable_text_has_no_digits(text):
    assert not (is_speakable(text) and any(character.isdigit() for character in text))


def test_cldr_text_has_words_for_numbers_and_no_digits():
    sentences = cldr_sentences("sw", 40, seed=0)
    assert len(sentences) > 100
    assert not any(character.isdigit() for text in sentences for character in text)
    assert any("elfu" in text for text in sentences)  # thousand
    assert sentences == cldr_sentences("sw", 40, seed=0) != cldr_sentences("sw", 40, seed=1)


def test_cldr_territories_can_be_left_out():
    assert any("Ufaransa" in text for text in cldr_sentences("sw", 1, 0))
    assert not any("Ufaransa" in text for text in cldr_sentences("sw", 1, 0, territories=False))


def test_cldr_names_are_the_languages_own():
    assert cldr_sentences("ht", 5, 0) == []  # inherits French
    for locale in ("cv", "tn", "la", "kok"):
        cldr_sentences(locale, 5, 0)
    letters = "".join(cldr_sentences("tt", 5, 0, territories=False))
    assert not any("a" <= letter <= "z" for letter in letters)


def test_cldr_alone_covers_75_natural_languages():
    rows = [row for row in load_table() if row.off is None and row.cldr]
    usable = [
        row.iso
        for row in rows
        if sum(map(is_speakable, cldr_sentences(row.cldr, 10, 0))) >= corpus.FEWEST
    ]
    assert len(usable) >= 75


def test_a_corpus_is_the_same_for_any_number_of_workers_and_resumes(engine, tmp_path):
    (tmp_path / "text").mkdir()
    lines = [
        f"Kitu {word} kilikuwa kizuri sana."
        for word in ["moja", "mbili", "tatu", "nne", "tano", "sita"]
    ]
    (tmp_path / "text" / "swa.txt").write_text("\n".join([*lines, "Ana miaka 12 tu leo."]), "utf-8")
    recipe = Recipe(per_language=4, test=1, text_dir=tmp_path / "text")
    for name, jobs in (("one", 1), ("two", 2)):
        report = prepare_espeak(tmp_path / name, recipe, ["swh", "cym"], jobs=jobs)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert report.languages["swh"]["train"] == 4 and report.languages["swh"]["test"] == 1

    train = read_manifest(tmp_path / "one" / "train.jsonl")
    test = read_manifest(tmp_path / "one" / "test.jsonl")
    assert not {item.text for item in train} & {item.text for item in test}
    swahili = [item for item in train if item.lang == "swh"]
    assert {item.text for item in swahili} <= set(lines)
    assert all(item.source.endswith("text: swa.txt") for item in swahili)
    assert all(item.license == "GPL-3.0-or-later" and item.audio.is_file() for item in train)

    before = contents(tmp_path / "one")
    kept, lost = swahili[0].audio, swahili[1].audio
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    prepare_espeak(tmp_path / "one", recipe, ["swh", "cym"], jobs=1)
    assert contents(tmp_path / "one") == before and kept.stat().st_mtime_ns == stamp
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["recipe"]["seed"] == 0


def test_a_language_without_text_is_skipped_by_name(engine, tmp_path):
    report = prepare_espeak(tmp_path / "out", Recipe(per_language=2), ["bpy", "swh"], jobs=1)
    assert "bpy" in report.skipped and list(report.languages) == ["swh"]
    with pytest.raises(DataError, match="bpy"):
        prepare_espeak(tmp_path / "none", Recipe(per_language=2), ["bpy"], jobs=1)


def test_lines_that_are_not_utf8_are_counted_and_named(engine, tmp_path):
    text = b"Kitu kimoja kilikuwa kizuri sana.\n" + "Kipande cha café kizuri".encode("latin-1")
    (tmp_path / "swh.txt").write_bytes(text)
    recipe = Recipe(per_language=2, text_dir=tmp_path)
    report = prepare_espeak(tmp_path / "out", recipe, ["swh"], jobs=1)
    assert any("swh.txt: 1 of 2 lines are not UTF-8" in note for note in report.notes)


def test_a_missing_text_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        prepare_espeak(tmp_path, Recipe(text_dir=tmp_path / "absent"))
