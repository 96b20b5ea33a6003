"""Normalisation, romanisation and vocabularies."""

import json
import sys
import threading
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.errors import CheckpointError
from madg_speech.text.normalize import NORMALIZERS, normalize
from madg_speech.text.romanize import romanize, romanize_many, unspoken
from madg_speech.text.vocabulary import BLANK, Vocabulary, ctc_frames_needed

VOCABULARY = Vocabulary.romanized()
SPELLABLE = st.text(alphabet="abc xyz'")
TEXT = st.text(max_size=30) | st.text(alphabet="aʼ'’\u200c\u200d\u0301\u00ad ^-İΣς3", max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("  a\tb\n c ", "a b c"),
        ("well-known_thing", "well known thing"),
        ("don’t 'quote' ‘this’", "don't quote this"),
        ("комп’ютер комп'ютер компʼютер", "комп'ютер комп'ютер комп'ютер"),
        ("ʼn man", "ʼn man"),
        ("नमस्ते, दुनिया।", "नमस्ते दुनिया"),  # marks are vowels here
        ("می\u200cروم", "می\u200cروم"),  # the Persian half space is spelling
        ("👩\u200d👩 ok", "ok"),
        ("soft\u00adhyphen\ufeff", "softhyphen"),
        ("ខ្ញុំ\u200bទៅ", "ខ្ញុំ ទៅ"),
        ("ＡＢＣ ½", "abc 1 2"),
        ("€5 + 3% © ^`", "5 3"),
        ("ma˥", "ma˥"),  # tone letters are spelling
        ("...", ""),
    ],
)
def test_default_style(text: str, expected: str) -> None:
    assert normalize(text) == expected


def test_none_style_keeps_the_text_and_an_unknown_style_names_the_known() -> None:
    assert normalize(" A, b ", "none") == " A, b "
    with pytest.raises(ValueError, match="default"):
        normalize("a", "wisper")
    assert NORMALIZERS["default"].label == "default-1"


def test_whisper_style_breaks_brahmic_words_and_ml_superb_joins_what_punctuation_parted() -> None:
    assert normalize("[noise] Hello, (uh) World!", "whisper") == "hello world"
    assert normalize("नमस्ते", "whisper").split() == ["नमस", "त"]
    assert normalize("I'll be, re-read", "ml-superb") == "ILL BE REREAD"
    assert {n.label for n in NORMALIZERS.values()} >= {"whisper-1", "ml-superb-1"}


@given(TEXT)
@settings(max_examples=400)
def test_normalize_is_idempotent_and_leaves_no_punctuation(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once == once.strip() and "  " not in once
    assert not [c for c in once if unicodedata.category(c)[0] == "P" and c != "'"]


@given(st.text(max_size=20))
def test_normalize_keeps_every_mark_and_letter(text: str) -> None:
    def letters(of: str) -> list[str]:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", of).lower())
        return sorted(c for c in folded if unicodedata.category(c) in {"Lo", "Ll", "Mn", "Mc"})

    assert letters(normalize(text)) == letters(text)


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("Привет, мир!", None, "privet mir"),
        ("नमस्ते", "hin", "namaste"),
        ("한국어", "kor", "hangugeo"),
        ("L’été", "fra", "l'ete"),
        ("ʻŌlelo", "haw", "'olelo"),
        ("well-known (3 cats)", "eng", "well known cats"),
        ("Київ", "ukr", "kyiv"),
        ("Київ", None, "kiyiv"),
        ("三百人、一月", "zho", "sanbairen yiyue"),  # uroman alone: 300ren 1yue
        ("٣ سلام", "arb", "slam"),
        ("", None, ""),
    ],
)
def test_romanize(text: str, lang: str | None, expected: str) -> None:
    assert romanize(text, lang) == expected


@given(st.text(max_size=30), st.sampled_from([None, "deu", "zho", "xxx"]))
@settings(deadline=None)
def test_romanize_emits_its_alphabet_only_and_is_idempotent(text: str, lang: str | None) -> None:
    spelled = romanize(text, lang)
    assert set(spelled) <= set("abcdefghijklmnopqrstuvwxyz' ")
    assert spelled == " ".join(spelled.split()) == romanize(spelled, lang)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=30))
@settings(deadline=None, max_examples=50)
def test_the_fast_path_for_ascii_says_what_uroman_says(text: str) -> None:
    # The accented word takes the whole text through uroman.
    assert romanize(text + " é").removesuffix("e").strip() == romanize(text)


def test_ascii_does_not_wait_for_uroman(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madg_speech.text.romanize._load_uroman", lambda: pytest.fail("loaded"))
    assert romanize("Plain, text") == "plain text"


def test_romanize_from_many_threads() -> None:
    words = [f"слово{chr(0x430 + i)}" for i in range(32)]
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda w=word: found.update({w: romanize(w)})) for word in words
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {word: romanize(word) for word in words}
    assert len(set(found.values())) > 25


def test_romanize_many_pairs_texts_with_languages() -> None:
    assert romanize_many(["Київ", "Київ"], ["ukr", None]) == ["kyiv", "kiyiv"]
    with pytest.raises(ValueError, match="shorter"):
        romanize_many(["a", "b"], ["eng"])


def test_unspoken_names_what_romanize_drops() -> None:
    assert unspoken("I have 32 cats, ٣") == "23٣"
    assert unspoken("三只猫 plain") == ""


def test_romanized_vocabulary() -> None:
    assert VOCABULARY.size == 29
    assert VOCABULARY.symbols[:4] == (BLANK, " ", "'", "a")
    assert VOCABULARY.transcript("Привет, L’été 3!", "rus") == "privet l'ete"


@given(SPELLABLE, st.data())
def test_a_ctc_path_decodes_to_the_text_and_fits_the_frames_needed(
    text: str, data: st.DataObject
) -> None:
    ids = VOCABULARY.encode(text)
    path = []
    for previous, current in zip([None, *ids], ids, strict=False):
        if previous == current:
            path.append(VOCABULARY.blank)
        path.append(current)
    assert VOCABULARY.decode(path) == text
    assert len(path) == ctc_frames_needed(ids)
    stretched = [i for i in path for _ in range(data.draw(st.integers(1, 3)))]
    assert VOCABULARY.decode([0, *stretched, 0]) == text


@given(st.text(max_size=20))
@settings(deadline=None)
def test_every_transcript_can_be_encoded(text: str) -> None:
    VOCABULARY.encode(VOCABULARY.transcript(text))


def test_encode_names_the_foreign_character() -> None:
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\)"):
        VOCABULARY.encode("café")


def test_save_and_load(tmp_path) -> None:
    path = tmp_path / "vocab.json"
    VOCABULARY.save(path)
    assert Vocabulary.load(path) == VOCABULARY
    assert set(json.loads(path.read_text())) == {"kind", "symbols"}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"kind": "x", "symbols": ["a"]}', '{"kind": 1, "symbols": ["<blank>"]}',
     '{"kind": "x", "symbols": ["<blank>", "a", "a"]}', '{"kind": "x", "symbols": null}'],
)  # fmt: skip
def test_a_broken_vocabulary_file_is_a_checkpoint_error(tmp_path, content: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"vocab\.json"):
        Vocabulary.load(path)


def test_a_missing_vocabulary_file_is_a_checkpoint_error(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="not found"):
        Vocabulary.load(tmp_path / "vocab.json")


def test_importing_the_room_loads_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys; from madg_speech import audio; from madg_speech.text import vocabulary;"
        "from madg_speech.metrics import error_rate;"
        "print([m for m in ('torch', 'uroman', 'librosa', 'numba', 'av', 'scipy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
