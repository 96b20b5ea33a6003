"""Which language a frozen, unadapted Whisper hears: the posterior over its language tokens.

Radford et al. 2022 (arXiv 2212.04356), section 2.3: the token after the start of the transcript is
the language.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from madg_speech.audio import SAMPLE_RATE
from madg_speech.backbones.base import Backbone
from madg_speech.backbones.weights import backbone_folder
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.backbones.whisper_whole import load_whisper
from madg_speech.decoding.whisper_tokens import GENERATION, language_tokens
from madg_speech.errors import ConfigError


@torch.inference_mode()
def posterior(backbone: Backbone, waveform: npt.NDArray[np.float32]) -> dict[str, float]:
    """Probabilities of ISO 639-3 codes, the likeliest first; they sum to 1.

    Only languages that Whisper was made for and that have a URIEL entry take part. The decoder of
    the backbone's folder is loaded on the first call.

    Args:
        backbone: adapters, if attached, must not be active.
        waveform: 16 kHz [samples]; the first 30 s count.

    Raises:
        ConfigError: the backbone is no Whisper, an English-only one, or its folder names no languages.
    """
    from transformers.modeling_outputs import BaseModelOutput

    if not isinstance(backbone, WhisperBackbone):
        raise ConfigError(
            f"{backbone.name} cannot tell languages apart, only Whisper can: name the language (--lang)"
        )
    tokens = _language_tokens(backbone.name)
    decoder = _load_decoder(backbone.name)
    full = round(backbone.max_seconds * SAMPLE_RATE)
    padded = np.pad(waveform[:full], (0, max(full - len(waveform), 0)))
    embedded, frames = backbone.embed(*backbone.features([padded]))
    hidden = backbone.finish(backbone.run_layers(embedded, frames)).to(decoder.device)
    start = torch.tensor([[decoder.config.decoder_start_token_id]], device=decoder.device)
    logits = decoder(
        encoder_outputs=BaseModelOutput(last_hidden_state=hidden), decoder_input_ids=start
    ).logits[0, -1]
    chances = logits[list(tokens.values())].float().softmax(0).tolist()
    return dict(sorted(zip(tokens, chances, strict=True), key=lambda pair: -pair[1]))


@lru_cache(maxsize=2)
def _language_tokens(name: str) -> dict[str, int]:
    """ISO 639-3 code -> token of the languages in the folder's generation settings."""
    folder = backbone_folder(name)
    tokens = language_tokens(folder)
    if not tokens:
        raise ConfigError(
            f"--lang auto: {folder / GENERATION} names no languages (lang_to_id), so {name} cannot tell "
            "them apart; name the language"
        )
    return tokens


@lru_cache(maxsize=2)
def _load_decoder(name: str) -> Any:
    model = load_whisper(name)
    del model.model.encoder.layers  # the backbone's own are used
    return model
