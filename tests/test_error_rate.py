"""Character and word error rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madg_speech.errors import DataError
from madg_speech.metrics.error_rate import ErrorRate, cer, macro_mean, wer

TEXTS = st.lists(st.text(alphabet="ab é", max_size=8).filter(str.strip), min_size=1, max_size=5)


def test_cer_is_pooled_over_utterances() -> None:
    score = cer(["abcd", "x"], ["abcd", "y"])
    assert (score.errors, score.length, score.rate) == (1, 5, 0.2)
    assert (score.substitutions, score.deletions, score.insertions) == (1, 0, 0)


def test_spaces_are_characters_at_the_ends_too() -> None:
    assert cer(["a b"], ["ab"]) == ErrorRate(0, 1, 0, 3)
    assert cer(["ab"], ["ab "]) == ErrorRate(0, 0, 1, 2)


def test_wer_divides_by_words() -> None:
    assert wer(["one two three"], ["one  too"]) == ErrorRate(1, 1, 0, 3)


@pytest.mark.parametrize("measure", [cer, wer])
def test_an_empty_hypothesis_deletes_everything(measure) -> None:
    assert measure(["a b"], [""]).rate == 1


@pytest.mark.parametrize("measure", [cer, wer])
def test_what_cannot_be_scored_is_an_error(measure) -> None:
    with pytest.raises(DataError, match=r"1 of 2 references are empty \(index 1\)"):
        measure(["a", " "], ["a", "b"])
    with pytest.raises(DataError, match="2 references but 1"):
        measure(["a", "b"], ["a"])
    with pytest.raises(DataError, match="no utterance"):
        measure([], [])
    with pytest.raises(TypeError, match="lists"):
        measure("abc", "abc")


@given(TEXTS)
def test_equal_texts_have_no_errors(texts: list[str]) -> None:
    assert cer(texts, texts).errors == wer(texts, texts).errors == 0
    assert cer(texts, texts).length == sum(map(len, texts))


@given(TEXTS, st.data())
def test_swapping_the_sides_swaps_insertions_and_deletions(texts, data) -> None:
    others = data.draw(
        st.lists(
            st.text(alphabet="ab ", min_size=1, max_size=8).filter(str.strip),
            min_size=len(texts),
            max_size=len(texts),
        )
    )
    there, back = cer(texts, others), cer(others, texts)
    assert there.errors == back.errors
    assert there.length - there.deletions + there.insertions == back.length


def test_macro_mean_counts_each_language_once() -> None:
    scores = {"swh": ErrorRate(1, 0, 0, 2), "yor": ErrorRate(0, 0, 0, 1000)}
    assert macro_mean(scores) == 0.25
    with pytest.raises(DataError, match="no language"):
        macro_mean({})
