import math

import pytest
import torch

from madg_speech.objectives.ctc import ctc_loss


def test_by_hand_two_frames_one_symbol() -> None:
    # P(a) at each frame 0.6, blank 0.4: "a" from aa, a-, -a = 0.36 + 0.24 + 0.24
    logits = torch.log(torch.tensor([[[0.4, 0.6], [0.4, 0.6]]]))
    outputs = {"logits": logits, "lengths": torch.tensor([2])}
    assert ctc_loss(outputs, torch.tensor([[1]])).item() == pytest.approx(-math.log(0.84), abs=1e-6)


def test_halves_with_the_global_count_sum_to_the_whole() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 20, 5, generator=draw)
    lengths = torch.tensor([20, 15, 18, 9])
    labels = torch.tensor([[1, 2, 3], [2, 2, -100], [4, -100, -100], [1, 4, 1]])
    whole = ctc_loss({"logits": logits, "lengths": lengths}, labels)
    count = (labels != -100).sum()
    parts = [
        ctc_loss({"logits": logits[rows], "lengths": lengths[rows]}, labels[rows], count)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_padded_frames_do_not_matter() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 12, 5, generator=draw)
    labels = torch.tensor([[1, 3]])
    short = ctc_loss({"logits": logits[:, :9], "lengths": torch.tensor([9])}, labels)
    torch.testing.assert_close(
        ctc_loss({"logits": logits, "lengths": torch.tensor([9])}, labels), short
    )
