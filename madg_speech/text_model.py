"""TextModel: a frozen text encoder with adapters from a source; word states and masked-token logits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from madg_speech.adapted_encoder import AdaptedEncoder, check_shape
from madg_speech.adapters import ActiveAdapters, AdapterWeights
from madg_speech.backbones import load_text_backbone
from madg_speech.backbones.pieces import Pieces
from madg_speech.backbones.text import Pooling, TextBackbone, pool_words
from madg_speech.checkpoint import ModelConfig, part_of, read_model_config, read_weights
from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.source import SourceConfig
from madg_speech.errors import CheckpointError
from madg_speech.sources import build_source


class MaskedTokenHead(nn.Module):
    """Logits of pieces: E norm(gelu(dense(h))) + bias, as BERT has it (Devlin et al. 2019).

    E, [V, H], are the backbone's frozen input embeddings of the V pieces in ``tokens``. Restricting V
    to the pieces that a text holds changes no gradient but that of pieces which are never an answer,
    and is what makes 250,000 pieces affordable on a CPU.

    Args:
        embeddings: of the backbone.
        tokens: [V] piece numbers, ascending.
    """

    def __init__(self, embeddings: nn.Embedding, tokens: Tensor):
        super().__init__()
        width = embeddings.embedding_dim
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(len(tokens)))
        self.tokens: Tensor
        self.embeddings: Tensor
        self.register_buffer("tokens", tokens)
        self.register_buffer("embeddings", embeddings.weight[tokens].clone(), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits [N, V] of hidden [N, H]."""
        inner = self.norm(nn.functional.gelu(self.dense(hidden)))
        return nn.functional.linear(inner, self.embeddings, self.bias)


class KnownStates(Protocol):
    """What frozen layers say of windows of pieces, computed before."""

    @property
    def below(self) -> int:
        """The states are those that enter this layer."""

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor | None:
        """[B, T, H] of piece numbers [B, T], lengths [B]; None where not all of them are known."""


class TextModel(AdaptedEncoder):
    """A frozen text encoder with adapters from ``source``; with ``head`` a masked language model.

    Attributes:
        known: states to begin with, in place of the embeddings, where they are those of the batch and
            of a layer that is not above the lowest adapter.

    Args:
        backbone: frozen encoder and tokenizer.
        source: where adapter weights come from; None for no adapters at all.
        config: what is written to ``config.json``.
        head: None for a model that only encodes.
    """

    backbone: TextBackbone

    def __init__(
        self,
        backbone: TextBackbone,
        source: Any,
        config: ModelConfig,
        head: MaskedTokenHead | None = None,
    ):
        super().__init__(backbone, source, config)
        self.head = head
        self.known: KnownStates | None = None

    def prefix(
        self, inputs: Tensor, lengths: Tensor, stop: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Frozen layers below the first adapter, or ``stop``, as far as they are not ``known``."""
        stop = self.prefix_layers if stop is None else stop
        if self.known is not None and self.known.below <= stop:
            hidden = self.known.read(inputs, lengths)
            if hidden is not None:
                hidden, lengths = hidden.to(self.device), lengths.to(self.device)
                with torch.no_grad():
                    return self.backbone.run_layers(
                        hidden, lengths, self.known.below, stop
                    ), lengths
        return super().prefix(inputs.to(self.device), lengths.to(self.device), stop)

    def forward(
        self, inputs: Tensor, lengths: Tensor, languages: Sequence[str | None], chosen: Tensor
    ) -> dict[str, Tensor]:
        """Logits of the hidden pieces of a batch whose rows may be of different languages.

        Args:
            inputs: [B, T] piece numbers.
            lengths: [B].
            languages: ISO 639-3 code per row; None for no adapter.
            chosen: [B, T] bool, N of them true.

        Returns:
            ``logits`` [N, V] over ``head.tokens``, row by row.
        """
        assert self.head is not None, "a model that only encodes"
        hidden, lengths = self.prefix(inputs, lengths)
        states = self.adapted_layers(hidden, lengths, languages)
        return {"logits": self.head(states[chosen])}

    def encode_words(
        self,
        sentences: Sequence[Sequence[str]],
        languages: Sequence[str | None],
        layers: int | None = None,
        pooling: Pooling = "mean",
        adapter: AdapterWeights | None = None,
        task: AdapterWeights | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Hidden states of the words of a batch whose sentences may be of different languages.

        Gradients reach the source, ``adapter`` and ``task`` where they ask for them, never the
        backbone; layers below the lowest adapter run without a graph.

        Args:
            sentences: B lists of words, none empty.
            languages: ISO 639-3 code of each; None for no language adapter.
            layers: read after so many layers (tapping); after the last when None.
            pooling: of a word's pieces.
            adapter: weights of one language, in place of the source's wherever a language is named.
            task: weights of one adapter stacked on that of the language, in every sentence.

        Returns:
            hidden [B, W, H], zero beyond a sentence's words, and mask [B, W], true where a word is.

        Warns:
            UserWarning: a sentence longer than the model takes was split, or a word cut.

        Raises:
            DataError: a sentence without words.
            ValueError: not as many languages as sentences, or no such layer.
            UnknownLanguageError: a language without a vector.
        """
        if len(languages) != len(sentences):
            raise ValueError(f"{len(languages)} languages for {len(sentences)} sentences")
        stop = len(self.backbone.layers) if layers is None else layers
        if not 0 < stop <= len(self.backbone.layers):
            raise ValueError(f"layers={layers} of a backbone with {len(self.backbone.layers)}")
        pieces = self.backbone.tokenizer.encode_words(sentences)
        _warn(pieces, sentences)
        spoken = self.adapters_for([languages[number] for number in pieces.sentences], adapter)
        stacked = None if task is None else ActiveAdapters.select(task, [0] * len(pieces.ids))
        stack = [active for active in (spoken, stacked) if active is not None]
        lowest = min([stop, *(min(active.weights.layers) for active in stack)])
        hidden, lengths = self.prefix(pieces.ids, pieces.lengths, lowest)
        with self.injection.use(*stack):
            hidden = self.backbone.run_layers(hidden, lengths, start=lowest, stop=stop)
        return pool_words(hidden, pieces, pooling)

    @classmethod
    def from_backbone(
        cls, name: str, revision: str | None = None, layers: int | None = None
    ) -> TextModel:
        """A backbone without any adapter: the baseline, and where training starts."""
        backbone = load_text_backbone(name, revision, layers)
        config = ModelConfig(
            objective="mlm",
            backbone=BackboneConfig(name=name, revision=revision, layers=layers),
            hidden_size=backbone.hidden_size,
            layers=len(backbone.layers),
            source=SourceConfig(kind="none"),
        )
        return cls(backbone, None, config).eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str, backbone: str | None = None) -> TextModel:
        """Load a checkpoint (or the text part of a joint one) and the backbone that it names.

        Args:
            folder: of the checkpoint.
            backbone: folder or hub id, in place of the one that the checkpoint names.

        Raises:
            CheckpointError: a file is missing or broken, it is a model of speech, or the backbone
                has another shape.
            BackboneError: the backbone cannot be found.
        """
        folder = part_of(Path(folder), "text")
        config = read_model_config(folder)
        if config.objective != "mlm":
            raise CheckpointError(
                f"{folder} is a model of speech ({config.objective}); expected one of text"
            )
        chosen = backbone or config.backbone.name
        revision = None if backbone else config.backbone.revision
        encoder = load_text_backbone(chosen, revision, config.backbone.layers)
        check_shape(config, encoder, folder, chosen)
        source = build_source(config.source, config.hidden_size, config.layers, config.languages)
        state = read_weights(folder)
        tokens = state.get("head.tokens")
        head = None if tokens is None else MaskedTokenHead(encoder.word_embeddings, tokens)
        model = cls(encoder, source, config, head)
        model.load_trainable_state(state, str(folder))
        return model.eval()


def _warn(pieces: Pieces, sentences: Sequence[Sequence[str]]) -> None:
    if pieces.split:
        begin = " ".join(sentences[pieces.split[0]][:6])
        warnings.warn(
            f"{len(pieces.split)} sentences are longer than the model takes and were split between "
            f"words, first: {begin} ...",
            stacklevel=3,
        )
    if pieces.cut:
        warnings.warn(
            f"{len(pieces.cut)} words are longer than the model takes and were cut, first: "
            f"{pieces.cut[0][:40]}...",
            stacklevel=3,
        )
