"""Cached states of frozen text layers: the same as computed anew, shared, bounded, never stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.data.text_prefix import TextPrefix, window_key, windows_of
from madg_speech.errors import DataError
from madg_speech.text_model import TextModel
from tests.tiny import text_folder

WORDS = ["the", "cat", "sat", "on", "mat", "cab", "qed", "z" * 30]
SENTENCES = [["the", "cat", "sat"], ["mat"], ["the", "cat"] * 20, ["on", "the", "z" * 30, "mat"]]


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("bert"))


def adapter(*layers: int) -> AdapterWeights:
    shape = AdapterShape(layers, 32, 4)
    return AdapterWeights(
        layers,
        *(
            0.3 * torch.randn(1, len(layers), *shape.tensor_shape(name))
            for name in ("down", "down_bias", "up", "up_bias")
        ),
    )


def filled(model: TextModel, sentences: list[list[str]], below: int = 2) -> TextPrefix:
    known = TextPrefix(model, below, "raise the limit")
    known.fill(model, windows_of(model.backbone.tokenizer, sentences), 1.0, pieces_per_batch=60)
    return known


@pytest.mark.filterwarnings("ignore:.*longer than the model:UserWarning")
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "distilbert"])
@settings(max_examples=15, deadline=None, database=None)
@given(
    sentences=st.lists(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=30), min_size=1, max_size=6
    ),
    lowest=st.integers(2, 3),
)
def test_with_and_without_the_cache_words_have_the_same_states(
    kind: str, tmp_path_factory: pytest.TempPathFactory, sentences: list[list[str]], lowest: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"prefix-{kind}"
    model = TextModel.from_backbone(str(folder if folder.exists() else text_folder(folder, kind)))
    model.known = filled(model, [*sentences, *SENTENCES])
    task = adapter(lowest, 3) if lowest < 3 else adapter(3)
    # in another batch, next to other sentences, than those that they were computed in
    batch = [["cat"], *sentences[::-1], ["mat", "the", "on"]]
    model.known.fill(model, windows_of(model.backbone.tokenizer, batch), 1.0)
    with torch.no_grad():
        cached, mask = model.encode_words(batch, [None] * len(batch), task=task)
        model.known = None
        plain, plain_mask = model.encode_words(batch, [None] * len(batch), task=task)
    assert torch.equal(mask, plain_mask)
    # float16 keeps states of up to 4 to 1e-3, and two layers and adapters of size 0.3 lie above
    torch.testing.assert_close(cached, plain, atol=4e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.*longer than the model:UserWarning")
def test_known_states_are_not_computed_and_unknown_ones_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TextModel.from_backbone(str(folder))
    model.known = filled(model, SENTENCES)
    embedded: list[int] = []
    embed = model.backbone.embed
    monkeypatch.setattr(
        model.backbone, "embed", lambda i, n: embedded.append(len(i)) or embed(i, n)
    )
    model.encode_words(SENTENCES, [None] * 4)
    assert not embedded
    states, _ = model.encode_words([["sat", "sat"], *SENTENCES[:1]], [None] * 2)
    assert embedded == [2] and states.abs().sum() > 0
    # an adapter below the cached layer: nothing of the cache can be used
    model.encode_words(SENTENCES[:1], [None], task=adapter(1))
    assert embedded == [2, 1]


def test_runs_share_it_whatever_lies_above(folder: Path) -> None:
    whole, cut = (
        TextModel.from_backbone(str(folder)),
        TextModel.from_backbone(str(folder), layers=3),
    )
    known = filled(whole, SENTENCES[:2])
    shared = filled(cut, SENTENCES[:3])
    assert shared.folder == known.folder and len(shared.index) > len(known.index)
    windows = list(windows_of(whole.backbone.tokenizer, SENTENCES[:2]))
    for window in windows:
        assert np.array_equal(known[window_key(window)], shared[window_key(window)])


def test_other_weights_or_another_layer_are_another_cache(folder: Path) -> None:
    model = TextModel.from_backbone(str(folder))
    folders = {TextPrefix(model, below, "").folder for below in (1, 2)}
    for place in (
        model.backbone.word_embeddings.weight,
        next(model.backbone.layers[1].parameters()),
    ):
        with torch.no_grad():
            place.add_(1)
        folders.add(TextPrefix(model, 2, "").folder)
    assert len(folders) == 4
    with torch.no_grad():
        next(model.backbone.layers[2].parameters()).add_(1)  # above: it plays no part
    assert TextPrefix(model, 2, "").folder in folders


def test_too_large_is_refused_before_it_starts(folder: Path) -> None:
    model = TextModel.from_backbone(str(folder))
    known = TextPrefix(model, 2, "raise the limit")
    with pytest.raises(DataError, match="limit is 1e-07: raise the limit"):
        known.fill(model, windows_of(model.backbone.tokenizer, SENTENCES), 1e-7)
    assert not known.index
