import math
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from madg_speech.decoding.beam import LexiconDecoder
from madg_speech.decoding.lexicon import Lexicon, read_lexicon
from madg_speech.decoding.ngrams import BEGIN, END, NgramModel
from madg_speech.errors import DataError
from madg_speech.text.vocabulary import BLANK, Vocabulary

VOCABULARY = Vocabulary.romanized()
SMALL = Vocabulary("romanized", (BLANK, " ", "a", "b"))
WORDS = {"А": "a", "Б": "b", "АА": "aa", "АБ": "ab", "Аб": "ab"}
COUNTS = {"А": 5, "Б": 1, "АА": 2, "АБ": 1, "Аб": 9}
MODEL = NgramModel([["А", "Б"], ["А", "А"], ["Аб"], ["АБ", "Б"], ["АА", "Аб"]] * 2, 2)


def scores_of(path: str, vocabulary: Vocabulary = VOCABULARY) -> Tensor:
    """Log probabilities that clearly say ``path``; ``_`` is the blank."""
    ids = [vocabulary.blank if c == "_" else vocabulary.encode(c)[0] for c in path]
    logits = torch.zeros(len(ids), vocabulary.size)
    logits[range(len(ids)), ids] = 12.0
    return logits.log_softmax(-1)


def language_score(words: tuple[str, ...]) -> float:
    history: tuple[str, ...] = (BEGIN,)
    total = 0.0
    for word in (*words, END):
        total += math.log(MODEL.probability(word, history))
        history = (*history, word)
    return total


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    MODEL.save_arpa(path)
    return path


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 6))
def test_equals_brute_force_over_all_paths(arpa: Path, seed: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = (2 * torch.randn(frames, SMALL.size, generator=generator)).log_softmax(-1)
    lexicon = Lexicon(WORDS, {})
    decoder = LexiconDecoder(lexicon, SMALL, arpa, lm_weight=0.7, word_score=0.3, beam=5000)
    got = tuple(word.text for word in decoder.decode(scores))

    rows = scores.tolist()
    heard: dict[tuple[str, ...], float] = {}
    for path in product(range(SMALL.size), repeat=frames):
        spelt = tuple(SMALL.decode(path).split())
        score = sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
        heard[spelt] = max(score, heard.get(spelt, -math.inf))
    totals = {}
    for spelt, score in heard.items():
        for words in product(*([w for w, s in WORDS.items() if s == one] for one in spelt)):
            totals[words] = score + 0.7 * language_score(words) + 0.3 * len(words)
    assert totals[got] == pytest.approx(max(totals.values()), abs=1e-3)


def test_native_words_with_the_frames_of_their_letters() -> None:
    lexicon = Lexicon({"мама": "mama", "дома": "doma", "дом": "dom"}, {})
    words = LexiconDecoder(lexicon, VOCABULARY).decode(scores_of("__mam_aa_ _d_omaa"))
    assert [(w.text, w.first, w.stop) for w in words] == [("мама", 2, 8), ("дома", 11, 17)]
    assert all(w.score > -0.1 for w in words)


def test_what_is_no_word_becomes_the_nearest_word() -> None:
    lexicon = Lexicon({"мама": "mama", "дома": "doma"}, {})
    scores = scores_of("mamu doma")
    scores[3, VOCABULARY.encode("a")[0]] = -1.0
    assert [w.text for w in LexiconDecoder(lexicon, VOCABULARY).decode(scores)] == ["мама", "дома"]


def test_double_letters_need_a_blank() -> None:
    lexicon = Lexicon({"анна": "anna", "ана": "ana"}, {})
    decoder = LexiconDecoder(lexicon, VOCABULARY)
    assert [w.text for w in decoder.decode(scores_of("an_na"))] == ["анна"]
    assert [w.text for w in decoder.decode(scores_of("annna"))] == ["ана"]


def test_counts_decide_between_homographs_and_the_model_by_context(tmp_path: Path) -> None:
    spellings = {"ọkọ": "oko", "okó": "oko", "mi": "mi", "rẹ": "re"}
    decoder = LexiconDecoder(Lexicon(spellings, {"ọkọ": 1, "okó": 9}), VOCABULARY)
    assert [w.text for w in decoder.decode(scores_of("oko"))] == ["okó"]
    text = [["mi", "ọkọ"], ["rẹ", "okó"], ["mi", "ọkọ"], ["rẹ", "okó"]]
    NgramModel(text, 2).save_arpa(tmp_path / "lm.arpa")
    decoder = LexiconDecoder(Lexicon(spellings, {}), VOCABULARY, tmp_path / "lm.arpa")
    assert [w.text for w in decoder.decode(scores_of("mi oko"))] == ["mi", "ọkọ"]
    assert [w.text for w in decoder.decode(scores_of("re oko"))] == ["rẹ", "okó"]


def test_more_homographs_than_the_trie_holds() -> None:
    spellings = {f"w{i}": "oko" for i in range(20)}
    counts = {word: i for i, word in enumerate(spellings)}
    decoder = LexiconDecoder(Lexicon(spellings, counts), VOCABULARY)
    assert [w.text for w in decoder.decode(scores_of("oko"))] == ["w19"]


@pytest.mark.parametrize("path", ["_", "___", " ", "_ _", "x"])
def test_nothing_said(path: str) -> None:
    decoder = LexiconDecoder(Lexicon({"дом": "dom"}, {}), VOCABULARY)
    assert len(decoder.decode(scores_of(path))) <= 1


def test_read_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeffдом 3\nмама\t2\n\n123 7\nдом\n", encoding="utf-8")
    lexicon = read_lexicon(path, VOCABULARY, "rus")
    assert lexicon == Lexicon({"дом": "dom", "мама": "mama"}, {"дом": 3, "мама": 2}, ("123",))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("дом\nмама\n".encode("cp1251"), "line 1: not UTF-8"),
        (b"ascii\nab\xe9\n", "line 2: not UTF-8"),
        (b"a whole sentence\n", "line 1.*one word"),
        (b"123\n", "no word"),
        (b"", "no word"),
        (b"\x00\xff\xfe\x80", "not UTF-8"),
    ],
)
def test_files_that_are_no_lexicon(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said) as error:
        read_lexicon(path, VOCABULARY, None)
    assert "words.txt" in str(error.value)


def test_utf16_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("дом\n".encode("utf-16"))
    assert read_lexicon(tmp_path / "words.txt", VOCABULARY, None).spellings == {"дом": "dom"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no language model"),
        (b"not a model at all\n", "no language model"),
        (b"\\data\\\nngram 1=3\n\n\\1-grams:\n-1\tdom\n\n\\end\\\n", "order 1; expected 2"),
        (b"\\data\\\n" + b"".join(b"ngram %d=1\n" % n for n in range(1, 8)), "order 7"),
        (b"\\data\\\nngram 1=1\nngram 2=1\n\n\\1-grams:\n-1\tother\t0\n\n", "none of the lexicon"),
        (b"\\data\\\nngram 1=9\nngram 2=9\n\n\\1-grams:\n-1\tdom\t0\n", "no language model"),
    ],
)
def test_files_that_are_no_language_model(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        LexiconDecoder(Lexicon({"dom": "dom"}, {}), VOCABULARY, path)
    with pytest.raises(DataError, match="not found"):
        LexiconDecoder(Lexicon({"dom": "dom"}, {}), VOCABULARY, tmp_path / "none.bin")
