"""Intervals and tests: against cases that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.metrics.bootstrap import Rate, macro_interval, paired_difference, sign_flip


def rate(errors: list[int], lengths: list[int], language: str = "deu", samples: int = 400) -> Rate:
    return Rate.of(errors, lengths, samples, language)


def test_the_interval_surrounds_the_pooled_rate_and_narrows_with_more_utterances() -> None:
    few, many = rate([0, 5] * 5, [10] * 10), rate([0, 5] * 500, [10] * 1000)
    assert few.value == many.value == 0.25
    for each in (few, many):
        low, high = each.interval
        assert low < 0.25 < high
    assert np.ptp(many.interval) < np.ptp(few.interval) / 5


def test_long_utterances_weigh_more() -> None:
    assert rate([1, 0], [1, 99]).value == 0.01


def test_no_interval_from_one_utterance_or_without_samples() -> None:
    assert rate([1], [4]).interval is None
    assert rate([1, 2], [4, 4], samples=0).interval is None


def test_a_macro_interval_draws_whole_clades_and_needs_two() -> None:
    rates = {
        name: rate([e] * 20, [10] * 20, name) for name, e in zip("abcd", (1, 1, 5, 5), strict=True)
    }
    assert macro_interval(rates, dict.fromkeys("abcd", "one")) is None
    low, high = macro_interval(rates, {"a": 1, "b": 1, "c": 2, "d": 2})
    assert (low, high) == (0.1, 0.5)  # a clade alone, or both


def test_a_paired_difference_is_free_of_what_both_systems_share() -> None:
    # Utterances differ wildly, but b makes exactly one error more in each: no uncertainty is left.
    hard = [0, 9, 1, 8, 2, 7]
    a = {name: rate(hard, [10] * 6, name) for name in ("deu", "swh", "fin")}
    b = {name: rate([e + 1 for e in hard], [10] * 6, name) for name in a}
    found = paired_difference(a, b, {name: name for name in a})
    assert found.mean == pytest.approx(-0.1)
    assert found.interval == pytest.approx((-0.1, -0.1))
    assert found.detectable == pytest.approx(0, abs=1e-9)
    assert (found.p, found.smallest_p, found.clusters) == (0.25, 0.25, 3)


def test_a_comparison_of_different_utterances_is_refused() -> None:
    with pytest.raises(ValueError, match="same utterances"):
        paired_difference({"deu": rate([1], [2])}, {"deu": rate([1, 1], [2, 2])}, {"deu": 1})
    with pytest.raises(ValueError, match="same utterances"):
        paired_difference({"deu": rate([1], [2])}, {"fin": rate([1], [2])}, {"deu": 1, "fin": 1})


def test_sign_flip_counts_patterns() -> None:
    assert sign_flip([1.0, 1.0, 1.0]) == (0.25, 0.25)  # +++ and ---
    assert sign_flip([3.0, 1.0, -1.0])[0] == 1.0 - 2 / 8  # below 3 only with both others against it
    p, least = sign_flip([1.0] * 30)
    assert p == least < 0.001
    assert sign_flip([0.0, 0.0])[0] == 1.0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_sign_flip_does_not_depend_on_direction(values: list[float]) -> None:
    p, least = sign_flip(values)
    assert least <= p <= 1
    assert sign_flip([-value for value in values])[0] == p
