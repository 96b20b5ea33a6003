"""Tiny random models of the real classes, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import BertProcessing
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    GenerationConfig,
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperModel,
    WhisperTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

PRE_NORM: dict[str, object] = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}

# what stands for which published models
SPEECH: dict[str, tuple[type[PreTrainedModel], type[PretrainedConfig], dict[str, object]]] = {
    "wav2vec2-base": (Wav2Vec2Model, Wav2Vec2Config, {}),
    "xls-r": (Wav2Vec2Model, Wav2Vec2Config, {**PRE_NORM, "conv_bias": True}),
    "mms": (Wav2Vec2Model, Wav2Vec2Config, {**PRE_NORM, "adapter_attn_dim": 8}),
    "hubert-base": (HubertModel, HubertConfig, {}),
    "hubert-large": (HubertModel, HubertConfig, PRE_NORM),
    "hubert-batch-norm": (HubertModel, HubertConfig, {**PRE_NORM, "conv_pos_batch_norm": True}),
    "wavlm-base": (WavLMModel, WavLMConfig, {}),
    "wavlm-large": (WavLMModel, WavLMConfig, PRE_NORM),
}


def whisper_config(**changes: object) -> WhisperConfig:
    settings: dict[str, object] = {
        "d_model": 32,
        "encoder_layers": 4,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "vocab_size": 120,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    return WhisperConfig(**(settings | changes))


def whisper_folder(folder: Path, **changes: object) -> Path:
    """Save a random tiny Whisper where ``backbone_folder`` accepts it."""
    torch.manual_seed(0)
    WhisperModel(whisper_config(**changes)).save_pretrained(folder)
    return folder


WHISPER_CODES = ("sw", "de", "fi")  # the languages that the tiny Whisper has tokens for


def whole_whisper_folder(folder: Path, **changes: object) -> Path:
    """Save a random tiny Whisper with decoder, a tokenizer of bytes and generation settings."""
    letters = {sign: number for number, sign in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    inner = Tokenizer(models.BPE(vocab=letters, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    steering = ["startoftranscript", *WHISPER_CODES, "translate", "transcribe", "startofprev"]
    special = [f"<|{name}|>" for name in ("endoftext", *steering, "notimestamps")]
    tokenizer = WhisperTokenizerFast(
        tokenizer_object=inner,
        unk_token=special[0],
        bos_token=special[0],
        eos_token=special[0],
        pad_token=special[0],
        extra_special_tokens=special[1:],
    )
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    ends = {f"{name}_token_id": ids["<|endoftext|>"] for name in ("pad", "bos", "eos")}
    named = ends | {"decoder_start_token_id": ids["<|startoftranscript|>"]}
    small: dict[str, object] = {
        "max_source_positions": 100,
        "max_target_positions": 32,
        "init_std": 0.3,
    }
    small["vocab_size"] = len(tokenizer)
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(whisper_config(**(small | named | changes)))
    model.generation_config = GenerationConfig(
        **named,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in WHISPER_CODES},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        suppress_tokens=sorted(set(ids.values()) - {ids["<|endoftext|>"]}),
        begin_suppress_tokens=[letters["Ġ"], ids["<|endoftext|>"]],
        max_length=32,
        return_timestamps=False,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def speech_folder(folder: Path, kind: str, normalize: bool = True) -> Path:
    """Save a random tiny encoder of raw audio, no tensor of it left at its initial 0 or 1."""
    model_class, config_class, changes = SPEECH[kind]
    config = config_class(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        **changes,
    )
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return folder


WORDPIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text_folder(folder: Path, kind: str = "bert", head: bool = True, mask: bool = True) -> Path:
    """Save a random tiny BERT, XLM-R or DistilBERT with a tokenizer of words and letters.

    ``head``: with a masked-language-model head; ``mask``: its tokenizer knows a mask token.
    """
    classes: dict[str, tuple[type[PreTrainedModel], type[PreTrainedModel], PretrainedConfig]] = {
        "bert": (BertForMaskedLM, BertModel, BertConfig),
        "xlm-roberta": (XLMRobertaForMaskedLM, XLMRobertaModel, XLMRobertaConfig),
        "distilbert": (DistilBertForMaskedLM, DistilBertModel, DistilBertConfig),
    }
    tokenizer = (_unigram if kind == "xlm-roberta" else _wordpiece)(mask)
    masked, bare, config_class = classes[kind]
    names = {"dim": 32, "n_layers": 4, "n_heads": 2, "hidden_dim": 64}
    if kind != "distilbert":
        names = {
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        }
    positions = 26 if kind == "xlm-roberta" else 24
    config = config_class(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        **names,
    )
    torch.manual_seed(0)
    model = (masked if head else bare)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _wordpiece(mask: bool) -> PreTrainedTokenizerFast:
    special = [name for name in WORDPIECES[:5] if mask or name != "[MASK]"]
    pieces = special + WORDPIECES[5:] + list(LETTERS) + [f"##{letter}" for letter in LETTERS]
    inner = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, **names, **({"mask_token": "[MASK]"} if mask else {})
    )


def _unigram(mask: bool) -> PreTrainedTokenizerFast:
    """Like XLM-R's: ``▁`` begins a word, and stands alone before what it has no piece with."""
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(name, 0.0) for name in names] + [("▁", -1.0), ("▁the", -1.5), ("▁cat", -1.5)]
    pieces += [(letter, -3.0) for letter in LETTERS] + [(sign, -3.0) for sign in "我你好"]
    pieces += [("<mask>", 0.0)] if mask else []
    inner = Tokenizer(models.Unigram(pieces, unk_id=3))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = BertProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        **({"mask_token": "<mask>"} if mask else {}),
    )
