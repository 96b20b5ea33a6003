from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.data.batches import BatchPlan, smoothed_shares

SECONDS = st.lists(st.floats(0.2, 20), min_size=1, max_size=40)


@settings(deadline=None, max_examples=40)
@given(seconds=SECONDS, budget=st.floats(5, 60), seed=st.integers(0, 9))
def test_every_batch_keeps_its_budget(seconds: list[float], budget: float, seed: int) -> None:
    languages = ["swh" if i % 3 else "yor" for i in range(len(seconds))]
    plan = BatchPlan(seconds, languages, 12, budget, seed=seed)
    batches = list(plan)
    assert len(batches) == len(plan) == 12
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(seconds[i] for i in batch) <= budget


@pytest.mark.parametrize("languages_per_batch", [None, 1, 2])
def test_the_order_is_a_function_of_the_seed(languages_per_batch: int | None) -> None:
    make = lambda seed, n: list(  # noqa: E731
        BatchPlan([1.0] * 30, ["a", "b", "c"] * 10, n, 4, 0.5, languages_per_batch, seed)
    )
    assert make(0, 20) == make(0, 20)
    assert make(0, 20) == make(0, 40)[:20]
    assert make(0, 20) != make(1, 20)


def test_one_language_per_batch() -> None:
    languages = ["a", "b", "c"] * 10
    for batch in BatchPlan([1.0] * 30, languages, 20, 4, 0.5, 1):
        assert len({languages[i] for i in batch}) == 1


def test_smoothing_lifts_the_small_language() -> None:
    assert smoothed_shares({"a": 1.0, "b": 9.0}, 0.5) == pytest.approx({"a": 0.25, "b": 0.75})
    assert smoothed_shares({"a": 1.0, "b": 9.0}, 0) == pytest.approx({"a": 0.5, "b": 0.5})
    seconds = [1.0] * 110
    languages = ["small"] * 10 + ["large"] * 100
    drawn = Counter(
        languages[i] for batch in BatchPlan(seconds, languages, 400, 10, 0.5) for i in batch
    )
    assert drawn["small"] / drawn.total() == pytest.approx(10**0.5 / (10**0.5 + 10), abs=0.03)


def test_nothing_comes_twice_before_all_came_once() -> None:
    drawn: list[int] = []
    for batch in BatchPlan([1.0] * 20, ["a"] * 20, 5, 4, pool=5):
        drawn += batch
    assert np.unique(drawn).size == 20
