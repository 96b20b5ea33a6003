"""A shared phone head, masked by what URIEL says of a language's sounds: the rival of an adapter."""

from __future__ import annotations

import torch
from torch import Tensor

from madg_speech.errors import ConfigError
from madg_speech.text.phones import inventory
from madg_speech.text.vocabulary import Vocabulary


def mask_inventory(scores: Tensor, vocabulary: Vocabulary, lang: str) -> Tensor:
    """Scores with -inf for every phone that is not in the language's inventory.

    Args:
        scores: [..., V] logits or log probabilities.
        vocabulary: of phones; blank and space stay.
        lang: ISO 639-3; :func:`madg_speech.text.phones.inventory` says what it has.

    Raises:
        ConfigError: the vocabulary is not one of phones.
        UnknownLanguageError: the language has no URIEL entry.
    """
    if vocabulary.kind != "phones":
        raise ConfigError(
            f"an inventory of phones cannot mask a {vocabulary.kind} vocabulary: train with "
            "`vocabulary: phones`"
        )
    had = inventory(lang)
    absent = [i for i, phone in enumerate(vocabulary.symbols) if i > 1 and phone not in had]
    mask = torch.zeros(vocabulary.size, device=scores.device, dtype=scores.dtype)
    mask[absent] = -torch.inf
    return scores + mask
