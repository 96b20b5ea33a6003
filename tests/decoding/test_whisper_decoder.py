"""Whisper's decoder under adapters: bit by bit transformers' where they are off; mixtures by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from madg_speech.backbones import load_backbone
from madg_speech.decoding.whisper_decoder import WhisperTextDecoder, mix_languages
from madg_speech.decoding.whisper_tokens import WhisperTokens
from madg_speech.errors import BackboneError, ConfigError, UnknownLanguageError
from madg_speech.typology import load_typology
from tests.seq2seq import WAVES, adapted_whisper, batch
from tests.tiny import speech_folder, whisper_folder, whole_whisper_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_whisper_folder(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def plain(folder: Path) -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(folder).eval()


def test_teacher_forcing_equals_transformers(
    folder: Path, plain: WhisperForConditionalGeneration
) -> None:
    model = adapted_whisper(folder, "none")
    inputs = batch(model, ["bado kuku", "ŋa", "oko"], ["swh", "fin", "deu"])
    inputs.pop("labels")
    tokens = model.decoder.tokens
    prompts = [
        [tokens.start, tokens.languages[lang], tokens.task, tokens.no_times]
        for lang in ("swh", "fin", "deu")
    ]
    shown = torch.cat([torch.tensor(prompts), inputs["tokens"]], 1)
    with torch.no_grad():
        ours = model(**inputs)["logits"]
        theirs = plain(inputs["features"], decoder_input_ids=shown).logits[:, 3:]
    assert torch.equal(ours, theirs)


def test_greedy_tokens_equal_transformers(
    folder: Path, plain: WhisperForConditionalGeneration
) -> None:
    model = adapted_whisper(folder)  # its adapters are not used: no row names one
    hidden, spoken = model.hear(WAVES)
    written = model.write(hidden, spoken, ["swh", "fin", "deu"], [None] * 3)
    features, _ = model.front_end(WAVES)
    for row, code in enumerate(("sw", "fi", "de")):
        theirs = plain.generate(
            features[row : row + 1], language=code, task="transcribe", max_new_tokens=28
        )
        kept = theirs[0].tolist()
        kept = kept[4:] if kept[0] == model.decoder.tokens.start else kept
        kept = (
            kept[: kept.index(model.decoder.tokens.end)]
            if model.decoder.tokens.end in kept
            else kept
        )
        assert list(written[row].tokens) == kept
    assert len({one.tokens for one in written}) > 1
    assert all(one.score < 0 and len(one.tokens) <= 28 for one in written)


def test_a_score_is_the_mean_log_probability_of_what_was_written(folder: Path) -> None:
    model = adapted_whisper(folder)
    hidden, spoken = model.hear(WAVES[:1])
    (written,) = model.write(hidden, spoken, ["yor"], ["yor"])
    states = model.encode(hidden, spoken, ["yor"])
    tokens, end = list(written.tokens), model.decoder.tokens.end
    with torch.no_grad():
        logits = model.decoder(states, ["yor"], torch.tensor([tokens]))[0]
    logits[:, list(model.decoder.tokens.never)] = -torch.inf
    logits[0, list(model.decoder.tokens.never_first)] = -torch.inf
    said = [*tokens, end] if len(tokens) < 28 else tokens
    chances = logits.log_softmax(-1)[torch.arange(len(said)), said]
    assert written.score == pytest.approx(float(chances.mean()), abs=1e-4)


def test_a_known_language_is_its_own_token(folder: Path) -> None:
    decoder = adapted_whisper(folder, "none").decoder
    table = decoder.layers.embed_tokens.weight
    for language, token in decoder.tokens.languages.items():
        prompt = decoder.prompt([language])[0]
        steering = [decoder.tokens.start, token, decoder.tokens.task, decoder.tokens.no_times]
        assert torch.equal(prompt, table[steering])


def test_another_language_is_a_mixture(folder: Path) -> None:
    decoder = adapted_whisper(folder, "none", temperature=0.1).decoder
    known = list(decoder.tokens.languages)
    vectors = load_typology().vectors(["yor", *known])
    apart = [np.mean(vectors[0] != other) for other in vectors[1:]]
    weights = np.exp([-distance / 0.1 for distance in apart])
    weights /= weights.sum()
    rows = decoder.layers.embed_tokens.weight[list(decoder.tokens.languages.values())]
    expected = sum(float(w) * row for w, row in zip(weights, rows, strict=True))
    torch.testing.assert_close(decoder.prompt(["yor"])[0, 1], expected)
    assert weights.min() > 0.05


def test_temperature_goes_from_the_nearest_to_all_alike() -> None:
    known = ("swh", "deu", "fin")
    nearest = int(np.argmin(load_typology().distances("zul", known)))
    assert mix_languages("zul", known, 1e-4)[nearest] == pytest.approx(1)
    assert mix_languages("zul", known, 1e4) == pytest.approx([1 / 3] * 3, abs=1e-3)
    with pytest.raises(UnknownLanguageError):
        mix_languages("qqq", known, 0.05)


def test_texts_are_written_as_whisper_writes_them(folder: Path) -> None:
    tokens = WhisperTokens.load(str(folder))
    written = tokens.transcripts(["  Bado \n kuku", "ภาษา", "ኣማርኛ", " "], [None] * 4)
    assert written == [" Bado kuku", "ภาษา", " ኣማርኛ", ""]
    assert [tokens.decode(tokens.encode(text)) for text in written] == [t.strip() for t in written]
    assert tokens.encode("") == [] and tokens.encode(" a")[-1] == tokens.end


def test_what_has_no_decoder_says_so(tmp_path: Path, folder: Path) -> None:
    waveforms = load_backbone(str(speech_folder(tmp_path / "xls-r", "xls-r")))
    with pytest.raises(ConfigError, match="only Whisper has"):
        WhisperTextDecoder.of_backbone(waveforms, None, 0.05)
    nameless = load_backbone(str(whisper_folder(tmp_path / "nameless")))
    with pytest.raises(BackboneError, match="names no languages"):
        WhisperTextDecoder.of_backbone(nameless, None, 0.05)
    shutil.copytree(folder, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(BackboneError, match="no tokenizer"):
        WhisperTokens.load(str(tmp_path / "mute"))


def test_an_encoder_alone_is_not_given_a_random_decoder(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "half")
    state = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in state.items() if ".decoder.layers." not in name}
    save_file(kept, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    half = load_backbone(str(tmp_path / "half"))
    with pytest.raises(BackboneError, match=r"lacks \d+ tensors.*decoder"):
        WhisperTextDecoder.of_backbone(half, None, 0.05)
