"""Other people's models: an MMS made on the spot switches its adapters and its vocabulary."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from madg_speech.errors import BackboneError
from madg_speech.evaluation.baselines import MmsBaseline, WhisperDecoder

VOCABULARY = {"deu": "abc", "swh": "xyz"}


def tiny_mms(folder: Path) -> Path:
    """Random weights, adapters of two languages whose letters differ."""
    config = Wav2Vec2Config(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8),
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, adapter_attn_dim=4,
        do_stable_layer_norm=True, feat_extract_norm="layer",
    )  # fmt: skip
    model = Wav2Vec2ForCTC(config)
    model.save_pretrained(folder)
    for lang in VOCABULARY:
        # Two adapters that must not sound alike: other heads.
        weights = {name: value + 0 for name, value in model._get_adapters().items()}
        weights["lm_head.bias"] = weights["lm_head.bias"].clone().fill_(0)
        weights["lm_head.bias"][4 if lang == "deu" else 5] = 50
        save_file(
            {n: v.contiguous() for n, v in weights.items()}, folder / f"adapter.{lang}.safetensors"
        )
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


def test_mms_uses_each_language_s_adapter_or_the_nearest(tmp_path: Path) -> None:
    system = MmsBaseline(str(tiny_mms(tmp_path / "mms")), "cpu")
    noise = [np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)]
    # A head that always says its fourth or fifth symbol.
    assert system.transcribe(noise, "swh") == ["y"]
    assert system.transcribe(noise, "deu") == ["a"]
    assert system.transcribe(noise, "swh") == ["y"]
    assert system.condition("nld") == "deu"
    assert system.describe()["script"] == "native"


def test_models_of_another_family_are_refused(tmp_path: Path, tiny_whisper: Path) -> None:
    with pytest.raises(BackboneError, match="wav2vec2 CTC"):
        MmsBaseline(str(tiny_whisper), "cpu")
    folder = tiny_mms(tmp_path / "mms")
    with pytest.raises(BackboneError, match="needs a Whisper"):
        WhisperDecoder(str(folder), "cpu")
