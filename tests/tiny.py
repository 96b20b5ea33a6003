"""Tiny random models of the real classes, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import WhisperConfig, WhisperModel


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
