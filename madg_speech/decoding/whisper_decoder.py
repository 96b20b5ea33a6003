"""Whisper's own text decoder, frozen, on encoder states that adapters have changed.

Where Whisper has a token for the language, the prompt names it. Where it has none, the embedding at
the language's place is a mixture of the embeddings of the languages that it knows:

    e(l) = Σ_k a_k e_k      a = softmax(-distance(l, k) / temperature)

with the share of URIEL features in which two languages differ as distance (the weights of TIPA, arXiv
2601.16629, put on tokens). No weight of the decoder changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from madg_speech.backbones.base import Backbone
from madg_speech.backbones.whisper import WhisperBackbone
from madg_speech.backbones.whisper_whole import load_whisper
from madg_speech.config.source import UnseenConfig
from madg_speech.decoding.whisper_tokens import LONGEST, WhisperTokens
from madg_speech.errors import ConfigError
from madg_speech.kin import shares
from madg_speech.typology import load_typology


@dataclass(frozen=True, slots=True)
class Written:
    """What the decoder wrote for one row: its tokens without the end, and their mean log probability."""

    tokens: tuple[int, ...]
    score: float


class WhisperTextDecoder(nn.Module):
    """A frozen decoder that takes the states of a full window.

    Args:
        whole: of :func:`madg_speech.backbones.whisper_whole.load_whisper`; its encoder is not used.
        tokens: of the same model.
        temperature: of the mixture of language tokens, in shares of features.
    """

    def __init__(self, whole: Any, tokens: WhisperTokens, temperature: float):
        super().__init__()
        self.layers = whole.model.decoder.eval()
        self.project = whole.proj_out
        self.tokens = tokens
        self.temperature = temperature

    @classmethod
    def of_backbone(
        cls, backbone: Backbone, revision: str | None, temperature: float
    ) -> WhisperTextDecoder:
        """The decoder that belongs to a loaded encoder.

        Raises:
            ConfigError: the backbone is no Whisper.
            BackboneError: its folder lacks the decoder, the tokenizer or the language tokens.
        """
        tokens = tokens_of(backbone, revision)
        return cls(load_whisper(backbone.name, revision), tokens, temperature)

    def train(self, mode: bool = True) -> WhisperTextDecoder:
        """Stay in evaluation mode, like the encoder."""
        return super().train(False)

    def prompt(self, languages: Sequence[str]) -> Tensor:
        """Embeddings [B, 4, H] of start, language, task and no time stamps, before positions are added."""
        known, embed = self.tokens.languages, self.layers.embed_tokens
        device = embed.weight.device
        mixture = np.stack(
            [mix_languages(one, tuple(known), self.temperature) for one in languages]
        )
        # Products and a sum, not a matrix product: a share of 1 must give the token's own embedding,
        # whatever precision an accelerator multiplies matrices in.
        tokens = embed(torch.tensor(list(known.values()), device=device))
        spoken = (torch.from_numpy(mixture).to(device)[..., None] * tokens).sum(1)
        around = torch.tensor(
            [self.tokens.start, self.tokens.task, self.tokens.no_times], device=device
        )
        start, task, no_times = embed(around).expand(len(languages), 3, -1).unbind(1)
        return torch.stack([start, spoken, task, no_times], 1)

    def forward(self, states: Tensor, languages: Sequence[str], tokens: Tensor) -> Tensor:
        """Logits [B, S + 1, V] of each token of a transcript and the one after its last.

        Args:
            states: [B, T, H] of the encoder, T being the frames of a full window.
            languages: ISO 639-3 code per row, for the prompt.
            tokens: [B, S] of the text, padded at its end with anything.
        """
        prompt = self.prompt(languages)
        embedded = torch.cat([prompt, self.layers.embed_tokens(tokens)], 1)
        output = self.layers(inputs_embeds=embedded, encoder_hidden_states=states, use_cache=False)
        logits: Tensor = self.project(output.last_hidden_state[:, prompt.shape[1] - 1 :])
        return logits

    @torch.inference_mode()
    def write(self, states: Tensor, languages: Sequence[str]) -> list[Written]:
        """The likeliest token again and again until the end, 224 at most; arguments as in forward."""
        embedded = self.prompt(languages)
        most = min(LONGEST, self.layers.config.max_target_positions - embedded.shape[1])
        never, never_first = list(self.tokens.never), list(self.tokens.never_first)
        ended = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        chosen, scores, cache = [], [], None
        for step in range(most):
            output = self.layers(
                inputs_embeds=embedded,
                encoder_hidden_states=states,
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            logits = self.project(output.last_hidden_state[:, -1]).float()
            logits[:, never + never_first if step == 0 else never] = -torch.inf
            score, token = logits.log_softmax(-1).max(-1)
            chosen.append(token.masked_fill(ended, self.tokens.end))
            scores.append(score.masked_fill(ended, 0.0))
            ended |= token == self.tokens.end
            if bool(ended.all()):
                break
            embedded = self.layers.embed_tokens(chosen[-1][:, None])
        rows = zip(torch.stack(chosen, 1).tolist(), torch.stack(scores, 1).tolist(), strict=True)
        return [self._written(tokens, row_scores) for tokens, row_scores in rows]

    def _written(self, tokens: list[int], scores: list[float]) -> Written:
        length = tokens.index(self.tokens.end) if self.tokens.end in tokens else len(tokens)
        counted = scores[: length + 1]  # its end is part of what was said
        return Written(tuple(tokens[:length]), sum(counted) / len(counted))


def tokens_of(backbone: Backbone, revision: str | None) -> WhisperTokens:
    """The tokens of a loaded encoder's decoder.

    Raises:
        ConfigError: the backbone is no Whisper.
        BackboneError: its folder lacks the tokenizer or the language tokens.
    """
    if not isinstance(backbone, WhisperBackbone):
        raise ConfigError(
            f"{backbone.name} has no text decoder, only Whisper has: choose a Whisper backbone, or CTC"
        )
    return WhisperTokens.load(backbone.name, revision)


@lru_cache(maxsize=4096)
def mix_languages(language: str, known: tuple[str, ...], temperature: float) -> NDArray[np.float32]:
    """Shares [len(known)] of the known languages in the prompt for ``language``; they sum to 1.

    A known language is itself alone.

    Raises:
        UnknownLanguageError: a language without a vector.
    """
    rule = UnseenConfig(rule="weighted", temperature=temperature)
    return shares(language, known, rule, load_typology())
