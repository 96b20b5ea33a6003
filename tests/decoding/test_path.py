import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.functional import forced_align

from madg_speech.decoding.greedy import greedy_decode
from madg_speech.decoding.path import GreedyDecoder, words_on_path
from madg_speech.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary.romanized()


def test_words_and_their_frames() -> None:
    text = "__aab_b  _c_ "
    path = [0 if c == "_" else VOCABULARY.encode(c)[0] for c in text]
    scores = torch.full((len(path), VOCABULARY.size), -1.0)
    words = words_on_path(path, scores, VOCABULARY)
    assert [(w.text, w.first, w.stop) for w in words] == [("abb", 2, 7), ("c", 10, 11)]
    assert [w.score for w in words] == pytest.approx([-1, -1])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_the_greedy_path_is_the_forced_alignment_of_its_own_text(seed: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(frames, VOCABULARY.size, generator=generator).log_softmax(-1)
    best = scores.argmax(-1)
    text = torch.unique_consecutive(best)
    text = text[text > 0]
    if len(text):
        aligned, _ = forced_align(scores[None], text[None].int(), blank=0)
        assert aligned[0].tolist() == best.tolist()
    words = GreedyDecoder(VOCABULARY).decode(scores)
    whole = greedy_decode(scores[None], torch.tensor([frames]), VOCABULARY)[0]
    assert [word.text for word in words] == whole.split()
    assert all(0 <= w.first < w.stop <= frames for w in words)
