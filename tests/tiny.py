"""Tiny random models of the real classes, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
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
