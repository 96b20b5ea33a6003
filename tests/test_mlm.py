"""Masked language modelling: what is hidden, how texts are read, and a run from text to checkpoint."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

from madg_speech.backbones import load_text_backbone
from madg_speech.checkpoint import read_weights
from madg_speech.cli import app
from madg_speech.config.text import MlmConfig, TextDataConfig
from madg_speech.data.text_batches import MaskedTextCollator
from madg_speech.data.text_corpus import load_texts
from madg_speech.errors import BackboneError, CheckpointError, ConfigError, DataError
from madg_speech.model import AdaptedModel
from madg_speech.objectives.mlm import mask_pieces, mlm_loss
from madg_speech.text_model import TextModel
from madg_speech.training.mlm import pretrain_text
from tests.test_pretrain import losses
from tests.test_pretrain import settings as speech_settings
from tests.tiny import text_folder

SENTENCES = {
    "swa": ["the cat sat on the mat", "the mat sat on the cat", "cat on mat", "the the cat"],
    "yor": ["on the cat sat the mat", "on the mat sat the cat", "mat on cat", "sat on on"],
    "eng": ["the cat sat", "the mat sat", "a cat sat on a mat", "a mat"],
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("bert"), head=False)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    folder.mkdir()
    for code, sentences in SENTENCES.items():
        (folder / f"{code}.txt").write_text("\n".join(sentences) + "\n")
    return folder


def config(backbone: Path, texts: Path, run: Path, **over: object) -> MlmConfig:
    training = {
        "steps": 6,
        "pieces_per_batch": 64,
        "warmup_steps": 2,
        "eval_every": 3,
    } | dict(over.pop("training", {}))  # type: ignore[call-overload]
    values: dict[str, object] = {
        "objective": "mlm",
        "backbone": {"name": str(backbone)},
        "source": {"kind": "madg-ls", "bottleneck": 8, "embedding_size": 4},
        "data": {"text": [str(texts / "*.txt")]},
        "output": str(run),
        "training": training,
    }
    return MlmConfig.model_validate(values | over)


def run(asked: MlmConfig, resume: bool = False) -> Path:
    return pretrain_text(asked, Path("/"), device="cpu", resume=resume)


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 60), st.floats(0.05, 0.9), st.integers(0, 99))
def test_masking_hides_the_share_and_keeps_the_answers(
    length: int, share: float, seed: int
) -> None:
    ids = np.arange(100, 100 + length)
    tokens = np.concatenate([ids, np.arange(500, 600)])
    inputs, answers = mask_pieces(ids, tokens, 7, share, np.random.default_rng(seed))
    asked = answers != -100
    assert asked.sum() == max(1, round(share * (length - 2)))
    assert not asked[0] and not asked[-1]
    assert (answers[asked] == ids[asked]).all()
    assert (inputs[~asked] == ids[~asked]).all()
    assert all(n == 7 or n in tokens or n == was for n, was in zip(inputs, ids, strict=True))


def test_masking_is_eighty_ten_ten() -> None:
    ids = np.full(40_002, 100)
    inputs, answers = mask_pieces(ids, np.array([100, 500]), 7, 0.5, np.random.default_rng(0))
    shown = inputs[answers != -100]
    shares = [(shown == number).mean() for number in (7, 500, 100)]
    assert np.allclose(shares, [0.8, 0.05, 0.15], atol=0.01)  # half of those drawn are it again


def test_pieces_that_cannot_be_asked_for_are_never_hidden() -> None:
    ids = np.array([1, 7, 8, 7, 9, 2])
    for seed in range(20):
        _, answers = mask_pieces(ids, np.array([7, 50]), 4, 0.9, np.random.default_rng(seed))
        assert answers.tolist() == [-100, 7, -100, 7, -100, -100]
    shown, answers = mask_pieces(ids, np.array([50, 60]), 4, 0.5, np.random.default_rng(0))
    assert shown.tolist() == ids.tolist() and (answers == -100).all()


def test_loss_is_per_hidden_piece_and_splits_over_batches() -> None:
    logits, labels = torch.randn(3, 5), torch.tensor([[1, -100, 2], [-100, 4, -100]])
    expected = nn.functional.cross_entropy(logits, torch.tensor([1, 2, 4]))
    assert torch.allclose(mlm_loss({"logits": logits}, labels), expected)
    halves = [mlm_loss({"logits": logits[:2]}, labels[:1], 3)]
    halves.append(mlm_loss({"logits": logits[2:]}, labels[1:], 3))
    assert torch.allclose(sum(halves), expected)


def test_a_row_is_hidden_alike_when_drawn_alike() -> None:
    row = {"pieces": list(range(2, 30)), "lang": "swh", "number": 5}
    collator = MaskedTextCollator(np.arange(2, 30), 4, 0)
    first, again, later, dev = (
        collator([row | extra])["inputs"].tolist()
        for extra in ({"draw": 0}, {"draw": 0}, {"draw": 1}, {})
    )
    assert first == again and first != later and dev not in (first, later)
    viewed = dataclasses.replace(collator, views=2)
    views = [viewed([row | {"draw": draw}])["inputs"].tolist() for draw in range(4)]
    assert views == [first, later, first, later]


def test_texts_are_split_and_what_is_left_out_is_named(bert: Path, texts: Path) -> None:
    tokenizer = load_text_backbone(str(bert)).tokenizer
    (texts / "xyz-none.txt").write_text("the cat\n")
    (texts / "deu.txt").write_text("the\n")
    (texts / "fra.txt").write_text("the cat\nthe cat\n\n​\n" + "cat " * 30 + "\n")
    rules = TextDataConfig(
        text=("*",),
        exclude_languages=("en",),
        dev_languages=("eng", "yor"),
        dev_per_language=2,
        min_lines=2,
        window=12,
    )
    told: list[str] = []
    train, dev = load_texts(sorted(texts.glob("*.txt")), rules, tokenizer, told.append)
    assert dev is not None
    assert any("swa is a macrolanguage: using swh" in message for message in told)
    assert train.languages == ["fra", "swh", "yor"] and dev.languages == ["eng", "yor"]
    assert train.left_out == {
        "files of excluded languages": ["eng"],
        "files of languages with too few lines": ["deu"],
        "files of languages without a typological vector": ["xyz-none.txt"],
        "repeated lines": ["fra.txt:2"],
        "lines that the tokenizer makes nothing of": ["fra.txt:4"],
    }
    assert train.split == ("fra.txt:5",)
    assert "1 long sentences were split (e.g. fra.txt:5)" in train.summary()
    assert max(train.table["length"]) == 12
    assert not set(train.table["id"]) & set(dev.table["id"])
    assert dev.table["lang"].count("yor") == 2
    again, _ = load_texts(sorted(texts.glob("*.txt")), rules, tokenizer, told.append)
    assert again.fingerprint == train.fingerprint
    (texts / "fra.txt").write_text("sat\nmat\n")
    changed, _ = load_texts(sorted(texts.glob("*.txt")), rules, tokenizer, told.append)
    assert changed.fingerprint != train.fingerprint


def test_a_run_learns_and_its_checkpoint_encodes_words(
    bert: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = config(
        bert,
        texts,
        tmp_path / "run",
        training={"steps": 60, "eval_every": 30, "learning_rate": 2e-2, "mask_share": 0.3},
        data={
            "text": [str(texts / "*.txt")],
            "dev_languages": ["eng", "yor"],
            "exclude_languages": ["eng"],
            "dev_per_language": 1,
        },
    )
    folder = run(asked)
    history = losses(tmp_path / "run")
    assert history[-1] < 0.92 * history[0]
    assert "dev loss" in (said := capsys.readouterr().err) and "pieces/s" in said
    card = (folder / "README.md").read_text()
    assert "| yor | trained |" in card and "| eng | unrelated |" in card
    model = TextModel.from_pretrained(folder)
    assert model.spec.languages == ("swh", "yor") and model.head is not None
    # the head knows pieces of these texts, and nothing else
    written = model.backbone.tokenizer([" ".join(" ".join(s) for s in SENTENCES.values())])
    seen = {piece for window in written[0] for piece in window[1:-1]}
    assert set(model.head.tokens.tolist()) <= seen
    one, _ = model.encode_words([["the", "cat"]], ["swh"])
    other, _ = model.encode_words([["the", "cat"]], ["yor"])
    none, _ = model.encode_words([["the", "cat"]], [None])
    plain, _ = TextModel.from_backbone(str(bert)).encode_words([["the", "cat"]], [None])
    assert not torch.allclose(one, other) and torch.equal(none, plain)
    with pytest.raises(CheckpointError, match="model of text"):
        AdaptedModel.from_pretrained(folder)


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    bert: Path, texts: Path, tmp_path: Path
) -> None:
    whole = read_weights(run(config(bert, texts, tmp_path / "whole")))
    asked = config(bert, texts, tmp_path / "broken")
    finished = run(asked)
    for name in ("checkpoint-6", "checkpoint"):
        for file in (tmp_path / "broken" / name).iterdir():
            file.unlink()
    resumed = read_weights(run(asked, resume=True))
    assert finished == tmp_path / "broken" / "checkpoint"
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)


def test_cached_views_give_the_losses_of_computed_ones_and_runs_share_them(
    bert: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from madg_speech.training import mlm

    source = {"kind": "two-stage", "bottleneck": 8, "embedding_size": 4, "layers": [2, 3]}
    data = {"text": [str(texts / "*.txt")], "dev_languages": ["eng"], "dev_per_language": 1}
    training = {"steps": 12, "eval_every": 1, "cached_views": 2}
    asked = config(bert, texts, tmp_path / "cached", source=source, data=data, training=training)
    run(asked)
    with monkeypatch.context() as patch:
        patch.setattr(mlm, "cache_views", lambda *given: None)
        run(asked.model_copy(update={"output": str(tmp_path / "plain")}))
    cached, plain = losses(tmp_path / "cached"), losses(tmp_path / "plain")
    assert len(cached) == 12 and torch.allclose(
        torch.tensor(cached), torch.tensor(plain), atol=1e-3
    )
    # nothing of what a run with another seed shows is computed below the adapters a second time
    computed: list[int] = []
    monkeypatch.setattr(
        "madg_speech.text_model.AdaptedEncoder.prefix", lambda *given: computed.append(1)
    )
    run(asked.model_copy(update={"output": str(tmp_path / "again")}))
    assert not computed
    small = asked.training.model_copy(update={"cache_limit_gb": 1e-9, "cached_views": 3})
    with pytest.raises(DataError, match=r"lower training\.cached_views"):
        run(asked.model_copy(update={"output": str(tmp_path / "small"), "training": small}))


def test_the_models_own_head_is_the_start(texts: Path, tmp_path: Path) -> None:
    backbone = text_folder(tmp_path / "headed")
    asked = config(
        backbone,
        texts,
        tmp_path / "run",
        training={"steps": 1, "learning_rate": 1e-12},
    )
    model = TextModel.from_pretrained(run(asked))
    start = load_text_backbone(str(backbone)).head_start
    assert model.head is not None
    assert torch.allclose(model.head.dense.weight, start["dense.weight"])
    assert torch.allclose(model.head.bias, start["bias"][model.head.tokens])


@pytest.mark.parametrize("frozen", [True, False])
def test_speech_begins_with_the_typology_of_text(
    bert: Path, texts: Path, tiny_whisper: Path, tmp_path: Path, frozen: bool
) -> None:
    from madg_speech.training.pretrain import pretrain
    from tests.speech import write_corpus

    source = {"kind": "two-stage", "bottleneck": 8, "embedding_size": 4}
    text = run(config(bert, texts, tmp_path / "run", source=source))
    learned = read_weights(text)
    asked = speech_settings(
        tiny_whisper,
        write_corpus(tmp_path / "speech"),
        tmp_path / "speech-run",
        source=source,
        init_typology_from=str(text),
        freeze_typology=frozen,
        training={"steps": 4, "learning_rate": 1e-2, "eval_every": 4},
    )
    spoken = read_weights(pretrain(asked, Path("/"), device="cpu"))
    assert torch.equal(spoken["source.mean"], learned["source.mean"])
    same = torch.equal(spoken["source.embed.weight"], learned["source.embed.weight"])
    assert same == frozen
    other = {"kind": "madg-ls", "bottleneck": 8, "embedding_size": 8}
    wrong = asked.model_copy(update={"source": type(asked.source)(**other), "output": f"{text}-2"})
    with pytest.raises(CheckpointError, match=r"kind is two-stage, here madg-ls; .*size is 4"):
        pretrain(wrong, Path("/"), device="cpu")


def test_the_verb_reads_the_objective(bert: Path, texts: Path, tmp_path: Path) -> None:
    asked = config(bert, texts, tmp_path / "run", training={"steps": 1})
    file = tmp_path / "mlm.yaml"
    file.write_text(json.dumps(asked.model_dump(mode="json")))
    told = CliRunner().invoke(app, ["pretrain", "--config", str(file), "--device", "cpu"])
    assert told.exit_code == 0 and str(tmp_path / "run" / "checkpoint") in told.output


def test_bad_input_is_named(bert: Path, texts: Path, tmp_path: Path) -> None:
    maskless = text_folder(tmp_path / "maskless", mask=False)
    with pytest.raises(BackboneError, match="no mask token"):
        run(config(maskless, texts, tmp_path / "a"))
    asked = {"text": [str(texts / "*.txt")], "dev_languages": ["fin"]}
    with pytest.raises(DataError, match="dev languages without a text file: fin"):
        run(config(bert, texts, tmp_path / "b", data=asked))
    with pytest.raises(DataError, match="nothing to train on"):
        run(config(bert, texts, tmp_path / "c", data={"text": asked["text"], "min_lines": 50}))
    (texts / "swa.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"swa\.txt: not UTF-8"):
        run(config(bert, texts, tmp_path / "d"))
    (tmp_path / "typo.yaml").write_text("objective: mlm\noutput: x\ndata: {texts: [a]}\n")
    told = CliRunner().invoke(app, ["pretrain", "--config", str(tmp_path / "typo.yaml")])
    assert isinstance(told.exception, ConfigError | SystemExit)
