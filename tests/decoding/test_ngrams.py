import math
from pathlib import Path

import pytest
from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.decoding.ngrams import BEGIN, END, UNKNOWN, NgramModel

TEXT = [s.split() for s in ("a b c", "a b b", "c a b", "b", "a a a b c d", "d a")] * 3
sentences = st.lists(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=60)
@given(sentences, st.integers(1, 4), st.lists(st.sampled_from([*"abcdez"]), max_size=3))
def test_probabilities_sum_to_one_after_any_history(
    text: list[list[str]], order: int, history: list[str]
) -> None:
    model = NgramModel(text, order)
    for past in (tuple(history), (BEGIN, *history)):
        assert math.fsum(model.probability(word, past) for word in model.words) == pytest.approx(1)
        assert all(model.probability(word, past) > 0 for word in model.words)


def test_kneser_ney_prefers_words_that_follow_many_words() -> None:
    # "francisco" is frequent, after one word only; "cup" is rarer, after three.
    text = [["san", "francisco"]] * 6 + [["a", "cup"], ["the", "cup"], ["my", "cup"]]
    model = NgramModel(text, 2)
    assert model.probability("cup", ("new",)) > model.probability("francisco", ("new",))


def test_words_outside_the_vocabulary_are_unknown() -> None:
    model = NgramModel(TEXT, 2, "ab")
    assert model.words == sorted(["a", "b", END, UNKNOWN])
    assert model.probability("c", ("a",)) == model.probability(UNKNOWN, ("a",))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_kenlm_reads_the_same_scores(tmp_path: Path, order: int) -> None:
    model = NgramModel(TEXT, order)
    model.save_arpa(tmp_path / "lm.arpa")
    entries = Dictionary()
    for word in ("a", "b", "c", "d", "zzz", UNKNOWN):
        entries.add_entry(word)
    lm = KenLM(str(tmp_path / "lm.arpa"), entries)
    for sentence in ("a b c", "d d zzz b", "zzz", "b a d c a"):
        state, history = lm.start(False), (BEGIN,)
        for word in sentence.split():
            state, score = lm.score(state, entries.get_index(word))
            assert score == pytest.approx(math.log10(model.probability(word, history)), abs=1e-4)
            history = (*history, word)
        score = lm.finish(state)[1]
        assert score == pytest.approx(math.log10(model.probability(END, history)), abs=1e-4)


def test_no_words() -> None:
    with pytest.raises(ValueError, match="no words"):
        NgramModel([[]], 2)
