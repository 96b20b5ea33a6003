"""BERT, XLM-R and DistilBERT encoders, frozen.

The models' own modules run in their own order; on a batch without padding the result is bit-identical
to transformers'. All three end each layer in a norm over feed-forward output plus residual, which is
where :mod:`madg_speech.injection` puts the adapter back in (AdapterHub's ``SeqBnConfig``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from madg_speech.backbones.base import Encoder, Placement, find_padding, mask_keys
from madg_speech.backbones.pieces import Pieces, Tokenizer
from madg_speech.errors import BackboneError

Pooling = Literal["mean", "last"]


class TextBackbone(Encoder):
    """A frozen text encoder with its tokenizer.

    Attributes:
        tokenizer: text and words -> pieces; knows the longest input.
        word_embeddings: the input embeddings [V, H], to which a language-model head is tied.
        head_start: what the stored model's own language-model head begins with
            (``dense.weight``, ``dense.bias``, ``norm.weight``, ``norm.bias``, ``bias`` [V]); empty
            where it has none.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        name: str,
        head_start: dict[str, Tensor] | None = None,
    ):
        """Open a transformers ``BertModel``, ``XLMRobertaModel`` or ``DistilBertModel``."""
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.head_start = head_start or {}
        self.hidden_size = model.config.hidden_size
        distil = model.config.model_type == "distilbert"
        layers: Any = model.transformer.layer if distil else model.encoder.layer
        norms = [layer.output_layer_norm if distil else layer.output.LayerNorm for layer in layers]
        self.layers = layers
        self.placements = tuple(Placement(norm, before_norm=True) for norm in norms)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The input embeddings [V, H]."""
        embeddings: nn.Embedding = self.model.get_input_embeddings()
        return embeddings

    @classmethod
    def from_folder(cls, folder: Path, name: str, layers: int | None = None) -> TextBackbone:
        """Load a folder written by ``save_pretrained``, tokenizer included.

        Args:
            folder: of a masked language model or a bare encoder.
            name: hub id or folder that the user gave.
            layers: keep only so many lower layers; all when None.

        Raises:
            BackboneError: no tokenizer, or fewer layers than asked for.
        """
        from transformers import AutoConfig, AutoModelForMaskedLM
        from transformers.utils import logging

        config = AutoConfig.from_pretrained(folder)
        if layers is not None and not 0 < layers <= config.num_hidden_layers:
            raise BackboneError(
                f"backbone.layers: {layers} of {name}, which has {config.num_hidden_layers}"
            )
        config.num_hidden_layers = layers or config.num_hidden_layers
        logging.disable_progress_bar()  # a bar over seconds of loading says nothing
        before = logging.get_verbosity()
        logging.set_verbosity_error()  # its report on heads and layers left out: checked below
        try:
            model, report = AutoModelForMaskedLM.from_pretrained(
                folder, config=config, dtype=torch.float32, output_loading_info=True
            )
        finally:
            logging.set_verbosity(before)
        body = model.base_model_prefix
        missing = [key for key in report["missing_keys"] if key.startswith(f"{body}.")]
        if missing:
            raise BackboneError(f"{name}: {len(missing)} weights are missing, first {missing[0]}")
        start = {} if report["missing_keys"] else head_start(model)
        tokenizer = Tokenizer.from_folder(folder, name, _positions(config))
        return cls(getattr(model, body), tokenizer, name, start)

    def embed(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Word, position and segment embeddings [B, T, H] of piece numbers [B, T].

        Raises:
            ValueError: more pieces than the model has positions for.
        """
        if inputs.shape[1] > self.tokenizer.max_pieces:
            raise ValueError(
                f"{inputs.shape[1]} pieces in one row; {self.name} takes {self.tokenizer.max_pieces}"
            )
        hidden: Tensor = self.model.embeddings(input_ids=inputs)
        return hidden, lengths

    def run_layers(
        self, hidden: Tensor, lengths: Tensor | None, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Layers ``start`` to ``stop`` (exclusive; None: to the top) of hidden [B, T, H]."""
        mask = mask_keys(find_padding(hidden, lengths), hidden.dtype)
        for layer in self.layers[start:stop]:
            output = layer(hidden, mask)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def finish(self, hidden: Tensor) -> Tensor:
        """Nothing: each layer ends in its norm."""
        return hidden


def head_start(model: Any) -> dict[str, Tensor]:
    """The weights of a masked language model's head, by the names of :class:`TextBackbone`."""
    if model.config.model_type == "distilbert":
        dense, norm = model.vocab_transform, model.vocab_layer_norm
        bias = model.vocab_projector.bias
    elif model.config.model_type == "xlm-roberta":
        dense, norm, bias = model.lm_head.dense, model.lm_head.layer_norm, model.lm_head.bias
    else:
        transform = model.cls.predictions.transform
        dense, norm, bias = transform.dense, transform.LayerNorm, model.cls.predictions.bias
    state = {"dense": dense, "norm": norm}
    weights = {
        f"{name}.{kind}": getattr(module, kind).detach().clone()
        for name, module in state.items()
        for kind in ("weight", "bias")
    }
    return weights | {"bias": bias.detach().clone()}


def pool_words(hidden: Tensor, pieces: Pieces, pooling: Pooling = "mean") -> tuple[Tensor, Tensor]:
    """Hidden states of words from those of their pieces.

    Args:
        hidden: [R, T, H], a row for each window of :class:`Pieces`.
        pieces: which word each piece belongs to.
        pooling: the mean of a word's pieces, or the last. Not the first: XLM-R's tokenizer begins
            Chinese words with a piece that holds nothing.

    Returns:
        [B, W, H], zero beyond a sentence's words, and mask [B, W] bool, true where a word is.
    """
    slots, counts = pieces.slots.to(hidden.device), pieces.counts.to(hidden.device)
    taken = slots >= 0
    if pooling == "last":
        taken = taken & pieces.last.to(hidden.device)
        share = torch.ones_like(slots, dtype=hidden.dtype)
    else:
        share = 1 / counts[slots.clamp(min=0)].to(hidden.dtype)
    flat = hidden[taken] * share[taken][:, None]
    pooled = hidden.new_zeros(counts.numel(), hidden.shape[-1]).index_add(0, slots[taken], flat)
    return pooled.view(*pieces.shape, -1), (counts > 0).view(pieces.shape)


def _positions(config: Any) -> int:
    # XLM-R numbers positions from the padding index + 1 (fairseq's way): two of its 514 are unused.
    unused = config.pad_token_id + 1 if config.model_type == "xlm-roberta" else 0
    return int(config.max_position_embeddings - unused)
