"""Other people's models: an MMS made on the spot switches its adapters and its vocabulary."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from madg_speech.errors import BackboneError
from madg_speech.evaluation.baselines import MmsBaseline, WhisperDecoder

# Output layers of different sizes, and a language in two scripts.
VOCABULARY = {
    "azj-script_cyrillic": "абв",
    "azj-script_latin": "abc",
    "deu": "abc",
    "swh": "vwxyz",
}


def tiny_mms(folder: Path) -> Path:
    """Random weights of MMS's kind; each language's adapter is random too."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8),
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, adapter_attn_dim=4,
        do_stable_layer_norm=True, feat_extract_norm="layer",
    )  # fmt: skip
    model = Wav2Vec2ForCTC(config)
    model.save_pretrained(folder)
    for lang, letters in VOCABULARY.items():
        weights = {n: torch.randn_like(value) for n, value in model._get_adapters().items()}
        weights["lm_head.weight"] = torch.randn(4 + len(letters), 16)
        # Special symbols are never the likeliest: every adapter says something.
        weights["lm_head.bias"] = torch.tensor([-50.0] * 4 + [0.0] * len(letters))
        save_file(weights, folder / f"adapter.{lang}.safetensors")
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    nested = {
        lang: {token: i for i, token in enumerate([*special, *letters])}
        for lang, letters in VOCABULARY.items()
    }
    (folder / "vocab.json").write_text(json.dumps(nested))
    tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang="deu")
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def noise() -> list[np.ndarray]:
    return [np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)]


def test_mms_uses_each_language_s_adapter_or_the_nearest(tmp_path: Path) -> None:
    system = MmsBaseline(str(tiny_mms(tmp_path / "mms")), "cpu")
    swahili, german = (system.transcribe(noise(), lang)[0] for lang in ("swh", "deu"))
    assert swahili and set(swahili) <= set("vwxyz")
    assert german and set(german) <= set("abc")
    assert system.transcribe(noise(), "swh") == [swahili]
    assert system.condition("nld") == "deu"
    assert system.condition("azj") == "azj-script_latin"
    assert system.describe()["script"] == "native" and system.describe()["adapters"] == 3


def test_the_adapter_s_layers_change_too_and_not_its_letters_alone(tmp_path: Path) -> None:
    folder = tiny_mms(tmp_path / "mms")
    german = load_file(folder / "adapter.deu.safetensors")
    azerbaijani = load_file(folder / "adapter.azj-script_latin.safetensors")
    # Both say a, b, c, now by one output layer: what differs is inside the encoder.
    head = {name: german[name] for name in german if name.startswith("lm_head")}
    save_file(azerbaijani | head, folder / "adapter.azj-script_latin.safetensors")
    system = MmsBaseline(str(folder), "cpu")
    logits = []
    for language in ("deu", "azj"):
        system.transcribe(noise(), language)
        with torch.inference_mode():
            logits.append(system.model(torch.tensor(noise()[0])[None]).logits)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_adapters_of_a_hub_model_are_fetched_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, cached = tiny_mms(tmp_path / "hub"), tmp_path / "cached"
    shutil.copytree(hub, cached, ignore=shutil.ignore_patterns("adapter.*"))
    fetched = []

    def download(name: str, file: str, **_: object) -> None:
        if not (hub / file).exists():
            raise OSError(f"404 for {file}")
        fetched.append(file)
        shutil.copy(hub / file, cached)

    monkeypatch.setattr("madg_speech.backbones.weights._snapshot", lambda *_, **__: cached)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    system = MmsBaseline("facebook/mms-tiny", "cpu")
    before = system.describe()
    assert not fetched
    assert system.transcribe(noise(), "swh") == MmsBaseline(str(hub), "cpu").transcribe(
        noise(), "swh"
    )
    assert fetched == ["adapter.swh.safetensors"]
    # Otherwise a run that was cut off could not go on: its description would have changed.
    assert system.describe() == before
    (hub / "adapter.deu.safetensors").unlink()
    with pytest.raises(BackboneError, match=r"adapter\.deu\.safetensors.*cannot be fetched: 404"):
        system.transcribe(noise(), "deu")


def test_models_of_another_family_are_refused(tmp_path: Path, tiny_whisper: Path) -> None:
    with pytest.raises(BackboneError, match="wav2vec2 CTC"):
        MmsBaseline(str(tiny_whisper), "cpu")
    folder = tiny_mms(tmp_path / "mms")
    with pytest.raises(BackboneError, match="needs a Whisper"):
        WhisperDecoder(str(folder), "cpu")
    (folder / "vocab.json").unlink()
    with pytest.raises(BackboneError, match=r"no vocab\.json"):
        MmsBaseline(str(folder), "cpu")
