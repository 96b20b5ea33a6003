"""Whisper's encoder with nothing around it: parameters named, and computed with, as transformers has them.

transformers' own class brings seconds of imports (distributed training, losses, compilers) that nobody
needs to transcribe. Radford et al. 2022 (arXiv 2212.04356), section 2.2: two convolutions, sinusoidal
positions, pre-norm transformer layers, keys without bias. The results are bit-identical.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from madg_speech.backbones.weights import CONFIG, read_tensors
from madg_speech.errors import BackboneError


@dataclass(frozen=True)
class WhisperShape:
    """What ``config.json`` of a Whisper folder says about the encoder, under its names.

    ``decoder_layers`` is for formats that number the layers of both.
    """

    d_model: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    num_mel_bins: int
    max_source_positions: int


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scale: float = (width // heads) ** -0.5
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, H] of hidden [B, T, H] and what is added to scores, [B, 1, 1, T]."""
        # Scaled before the product, not inside it: the order of operations decides the last bits.
        query = self._split(self.q_proj(hidden) * self.scale)
        key, value = self._split(self.k_proj(hidden)), self._split(self.v_proj(hidden))
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=1.0
        )
        joined: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return joined

    def _split(self, hidden: Tensor) -> Tensor:
        return hidden.view(*hidden.shape[:2], self.heads, -1).transpose(1, 2).contiguous()


class Layer(nn.Module):
    """Attention and feed-forward, each after a layer norm and beside a residual."""

    def __init__(self, shape: WhisperShape):
        super().__init__()
        width = shape.d_model
        self.self_attn = Attention(width, shape.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, shape.encoder_ffn_dim)
        self.fc2 = nn.Linear(shape.encoder_ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, H] of hidden [B, T, H] and what is added to scores, [B, 1, 1, T]."""
        hidden = hidden + self.self_attn(self.self_attn_layer_norm(hidden), mask)
        inner = nn.functional.gelu(self.fc1(self.final_layer_norm(hidden)))
        hidden = hidden + self.fc2(inner)
        if hidden.dtype == torch.float16:  # what exceeds its range would be infinite
            most = torch.finfo(hidden.dtype).max - 1000
            hidden = hidden.clamp(-most, most)
        return hidden


class WhisperEncoder(nn.Module):
    """The modules; :class:`madg_speech.backbones.whisper.WhisperBackbone` runs them in order."""

    def __init__(self, shape: WhisperShape):
        super().__init__()
        self.shape = shape
        self.conv1 = nn.Conv1d(shape.num_mel_bins, shape.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.d_model, shape.d_model, 3, stride=2, padding=1)
        # from_pretrained: the random start of an Embedding on "meta" would import torch's compiler.
        places = torch.empty(shape.max_source_positions, shape.d_model)
        self.embed_positions = nn.Embedding.from_pretrained(places)  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.encoder_layers))
        self.layer_norm = nn.LayerNorm(shape.d_model)

    @classmethod
    def from_folder(cls, folder: Path) -> WhisperEncoder:
        """Load the encoder of a Whisper folder written by ``save_pretrained``, in float32.

        Raises:
            BackboneError: a setting that Whisper does not have, or parameters that do not fit.
        """
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        activation = config.get("activation_function", "gelu")
        if activation != "gelu":
            raise BackboneError(f"{folder / CONFIG}: activation {activation!r}; Whisper's is gelu")
        try:
            shape = WhisperShape(
                **{field.name: int(config[field.name]) for field in fields(WhisperShape)}
            )
        except KeyError as missing:
            raise BackboneError(f"{folder / CONFIG} does not say {missing}") from None
        with torch.device("meta"):  # no random weights that are then overwritten
            encoder = cls(shape)
        state = read_tensors(folder, ("encoder.", "model.encoder."))
        try:
            encoder.load_state_dict(
                {name: value.float() for name, value in state.items()}, assign=True
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise BackboneError(
                f"{folder}: no Whisper encoder that fits its {CONFIG}: {reason}"
            ) from None
        return encoder
