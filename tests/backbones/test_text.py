"""BERT, XLM-R, DistilBERT: untouched when adapters are off, AdapterHub's formula when they are on."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.backbones import load_backbone, load_text_backbone
from madg_speech.backbones.text import pool_words
from madg_speech.errors import BackboneError, DataError
from madg_speech.text_model import TextModel
from tests.tiny import text_folder

KINDS = ("bert", "xlm-roberta", "distilbert")
SENTENCES = [["the", "cat", "sat"], ["on", "the", "mat", "cab", "qed"]]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("two"), "xlm-roberta")


def random_adapters(layers: tuple[int, ...], languages: int = 1, seed: int = 0) -> AdapterWeights:
    shape, draw = AdapterShape(layers, 32, 4), torch.Generator().manual_seed(seed)
    return AdapterWeights(
        layers,
        *(
            0.3 * torch.randn(languages, len(layers), *shape.tensor_shape(name), generator=draw)
            for name in ("down", "down_bias", "up", "up_bias")
        ),
    )


def plain_states(folder: Path, words: list[str]) -> tuple[Tensor, list[int | None]]:
    """What transformers gives for one sentence: states of all layers, and the word of each piece."""
    encoded = AutoTokenizer.from_pretrained(folder)(
        words, is_split_into_words=True, return_tensors="pt"
    )
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval()(**inputs, output_hidden_states=True)
    return torch.stack(output.hidden_states)[:, 0], encoded.word_ids(0)


def test_without_adapters_states_are_bit_identical_to_transformers(folder: Path) -> None:
    model = TextModel.from_backbone(str(folder))
    for words in SENTENCES:
        states, places = plain_states(folder, words)
        hidden, lengths = model.prefix(*_ids(model, words))
        assert torch.equal(hidden[0], states[-1]) and lengths.tolist() == [len(places)]


def _ids(model: TextModel, words: list[str]) -> tuple[Tensor, Tensor]:
    pieces = model.backbone.tokenizer.encode_words([words])
    return pieces.ids, pieces.lengths


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_tapping_and_truncating_both_read_a_middle_layer(folder: Path, layer: int) -> None:
    states, places = plain_states(folder, SENTENCES[1])
    expected = torch.stack(
        [
            states[layer, [at for at, word in enumerate(places) if word == number]].mean(0)
            for number in range(5)
        ]
    )
    tapped, _ = TextModel.from_backbone(str(folder)).encode_words(SENTENCES[1:], [None], layer)
    cut, _ = TextModel.from_backbone(str(folder), layers=layer).encode_words(SENTENCES[1:], [None])
    assert torch.allclose(tapped[0], expected, atol=1e-6)
    assert torch.equal(tapped, cut)


def by_hand(folder: Path, ids: Tensor, stacks: list[AdapterWeights]) -> Tensor:
    """AdapterHub's SeqBnConfig written out: h = FFN out; for each adapter h = A(LN(h + r)) + h."""
    model = AutoModel.from_pretrained(folder).eval()
    distil = model.config.model_type == "distilbert"
    layers = model.transformer.layer if distil else model.encoder.layer
    hidden = model.embeddings(input_ids=ids)
    for number, layer in enumerate(layers):
        attended = layer.attention(hidden, attention_mask=None)[0]
        if distil:
            residual = layer.sa_layer_norm(attended + hidden)
            inner, norm = layer.ffn(residual), layer.output_layer_norm
        else:
            residual = attended
            inner, norm = layer.output.dense(layer.intermediate(residual)), layer.output.LayerNorm
        for weights in stacks:
            if number in weights.layers:
                w = weights.at(number)
                normed = norm(inner + residual)
                down = nn.functional.relu(normed @ w.down[0].T + w.down_bias[0])
                inner = down @ w.up[0].T + w.up_bias[0] + inner
        hidden = norm(inner + residual)
    return hidden


@torch.no_grad()
def test_adapters_equal_the_published_formula(folder: Path) -> None:
    model = TextModel.from_backbone(str(folder))
    language, task = random_adapters((1, 2, 3)), random_adapters((0, 2), seed=1)
    pieces = model.backbone.tokenizer.encode_words(SENTENCES[1:])
    for stacked in (None, task):
        expected = by_hand(folder, pieces.ids, [language] + ([stacked] if stacked else []))
        found, mask = model.encode_words(SENTENCES[1:], ["deu"], adapter=language, task=stacked)
        assert torch.allclose(found, pool_words(expected, pieces)[0], atol=1e-5)
        plain, _ = model.encode_words(SENTENCES[1:], ["deu"])
        assert (found - plain).abs().max() > 0.1


@torch.no_grad()
def test_a_sentence_alone_equals_itself_in_a_batch(folder: Path) -> None:
    model = TextModel.from_backbone(str(folder))
    adapter = random_adapters((2, 3))
    together, mask = model.encode_words(SENTENCES, ["deu", None], adapter=adapter)
    assert mask.sum(1).tolist() == [3, 5]
    assert not together[0, 3:].any()
    for number, (words, language) in enumerate(zip(SENTENCES, ["deu", None], strict=True)):
        alone, _ = model.encode_words([words], [language], adapter=adapter)
        assert torch.allclose(together[number, : len(words)], alone[0], atol=1e-5)


def test_gradients_reach_adapters_and_not_the_backbone(bert: Path) -> None:
    model = TextModel.from_backbone(str(bert)).train()
    task = random_adapters((1, 3)).to("cpu")
    for name in ("down", "up"):
        getattr(task, name).requires_grad_(True)
    hidden, _ = model.encode_words(SENTENCES, [None, None], task=task)
    hidden.square().sum().backward()
    assert task.down.grad is not None and task.down.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def test_words_are_pooled_by_mean_or_last_piece(xlmr: Path) -> None:
    backbone = load_text_backbone(str(xlmr))
    pieces = backbone.tokenizer.encode_words([["我", "cab"]])
    # an empty first piece, as XLM-R's tokenizer writes Chinese
    assert backbone.tokenizer.tokenizer.convert_ids_to_tokens(pieces.ids[0])[1:3] == ["▁", "我"]
    hidden = torch.randn(1, pieces.ids.shape[1], 32)
    mean, last = pool_words(hidden, pieces)[0][0], pool_words(hidden, pieces, "last")[0][0]
    assert torch.allclose(mean[0], hidden[0, 1:3].mean(0), atol=1e-6)
    assert torch.equal(last[0], hidden[0, 2])
    assert torch.equal(last[1], hidden[0, 6])


def test_a_word_without_pieces_is_unknown_and_not_dropped(bert: Path) -> None:
    tokenizer = load_text_backbone(str(bert)).tokenizer
    pieces = tokenizer.encode_words([["the", "​", "cat"]])
    assert pieces.counts.tolist() == [1, 1, 1]
    assert pieces.ids[0, 2] == tokenizer.tokenizer.unk_token_id


def test_long_sentences_are_split_between_words_and_named(bert: Path) -> None:
    model = TextModel.from_backbone(str(bert))
    long = ["the", "cat"] * 20
    with pytest.warns(UserWarning, match=r"1 sentences .*the cat the"):
        hidden, mask = model.encode_words([["mat"], long], [None, None])
    assert mask.sum(1).tolist() == [1, 40]
    assert hidden[1].abs().sum(-1).min() > 0
    with pytest.warns(UserWarning) as told:
        hidden, mask = model.encode_words([["z" * 50, "mat"]], [None])
    assert mask.tolist() == [[True, True]]
    assert any("1 words" in str(warning.message) for warning in told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode_words([["the", "cat"] * 11], [None])  # 22 pieces and two special ones fit


def test_running_text_is_cut_into_windows_that_fit(bert: Path) -> None:
    tokenizer = load_text_backbone(str(bert)).tokenizer
    windows = tokenizer("the cat " * 20)
    assert [len(window) for window in windows] == [24, 20]
    assert tokenizer("") == []


def test_what_does_not_fit_is_said(bert: Path, tmp_path: Path, tiny_whisper: Path) -> None:
    model = TextModel.from_backbone(str(bert))
    with pytest.raises(DataError, match="sentence 1 of 2 has no words"):
        model.encode_words([["the"], []], [None, None])
    with pytest.raises(ValueError, match="1 languages for 2"):
        model.encode_words(SENTENCES, [None])
    with pytest.raises(ValueError, match="layers=5"):
        model.encode_words(SENTENCES, [None, None], layers=5)
    with pytest.raises(BackboneError, match="whisper model; expected an encoder of text"):
        load_text_backbone(str(tiny_whisper))
    with pytest.raises(BackboneError, match="bert model; expected an encoder of speech"):
        load_backbone(str(bert))
    with pytest.raises(BackboneError, match="layers: 9 of"):
        load_text_backbone(str(bert), layers=9)
    maskless = load_text_backbone(str(text_folder(tmp_path / "maskless", mask=False)))
    with pytest.raises(BackboneError, match="no mask token"):
        _ = maskless.tokenizer.mask
    (tmp_path / "maskless" / "tokenizer.json").unlink()
    with pytest.raises(BackboneError, match="no tokenizer"):
        load_text_backbone(str(tmp_path / "maskless"))


def test_the_stored_head_is_where_a_language_model_starts(folder: Path, tmp_path: Path) -> None:
    assert load_text_backbone(str(folder)).head_start.keys() == {
        "dense.weight",
        "dense.bias",
        "norm.weight",
        "norm.bias",
        "bias",
    }
    assert load_text_backbone(str(text_folder(tmp_path / "bare", head=False))).head_start == {}
