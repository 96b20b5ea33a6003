import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madg_speech.objectives.masking import draw_mask, draw_negatives


@given(
    length=st.integers(1, 300),
    share=st.floats(0.01, 0.99),
    span=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_a_mask_has_masked_and_open_frames(length: int, share: float, span: int, seed: int) -> None:
    mask = draw_mask(length, share, span, np.random.default_rng(seed))
    assert mask.shape == (length,)
    assert mask.any()
    assert length == 1 or not mask.all()


def test_about_the_asked_share_is_masked_in_whole_spans() -> None:
    random = np.random.default_rng(0)
    masks = [draw_mask(500, 0.4, 10, random) for _ in range(100)]
    # spans overlap: 1 - exp(-0.4) of the frames
    assert np.mean(masks) == pytest.approx(1 - np.exp(-0.4), abs=0.02)
    for mask in masks:
        edges = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
        lengths = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
        assert lengths.min() >= 10


@given(mask=st.lists(st.booleans(), min_size=1, max_size=60).filter(any), number=st.integers(1, 20))
def test_negatives_are_other_masked_frames(mask: list[bool], number: int) -> None:
    given_mask = np.array(mask)
    negatives = draw_negatives(given_mask, number, np.random.default_rng(0))
    (masked,) = given_mask.nonzero()
    assert negatives.shape == (len(mask), number)
    assert set(negatives[masked].ravel()) <= set(masked)
    if len(masked) > 1:
        assert not (negatives[masked] == masked[:, None]).any()
    else:
        assert (negatives[masked] == masked[0]).all()


def test_every_other_masked_frame_can_be_a_negative() -> None:
    mask = np.array([True, False, True, True])
    negatives = draw_negatives(mask, 200, np.random.default_rng(0))
    assert [set(negatives[t]) for t in (0, 2, 3)] == [{2, 3}, {0, 3}, {0, 2}]
