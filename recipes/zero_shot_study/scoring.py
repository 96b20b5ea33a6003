"""Error counts of a set of a fold: hidden states from the cache, greedy decoding, romanised references."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from folds import romanized
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from madg_speech.adapters import AdapterWeights
from madg_speech.data.corpus import audio_hash
from madg_speech.data.manifest import read_manifest
from madg_speech.data.prefix_cache import PrefixCache
from madg_speech.decoding.greedy import greedy_decode
from madg_speech.metrics.error_rate import character_errors, word_errors
from madg_speech.model import AdaptedModel

Counts = list[list[int]]
"""Character errors and word errors, an utterance each, in the order of ``fold.json``."""


@dataclass(frozen=True)
class Heard:
    """The utterances of one language below the first adapter: hidden [B, T, H], lengths [B]."""

    language: str
    hidden: Tensor
    lengths: Tensor
    meant: list[str]


def hear(
    model: AdaptedModel,
    folder: Path,
    name: str,
    limit_gb: float,
    languages: Collection[str] | None = None,
) -> Iterator[Heard]:
    """The set ``name`` of the fold in ``folder``, a language at a time; all of them, or those named."""
    sets = json.loads((folder / "fold.json").read_text())["sets"][name]
    asked = {code: entry for code, entry in sets.items() if languages is None or code in languages}
    utterances = {u.id: u for u in read_manifest(folder / f"{name}.jsonl") if u.lang in asked}
    hashes = {row_id: audio_hash(u.audio) for row_id, u in utterances.items()}
    cache = PrefixCache(model)
    cache.fill(
        model,
        {hashes[row_id]: u.audio for row_id, u in utterances.items()},
        {hashes[row_id]: u.seconds for row_id, u in utterances.items()},
        limit_gb,
    )
    for language, entry in asked.items():
        rows = entry["ids"]
        states = [torch.from_numpy(cache[hashes[r]].astype(np.float32)) for r in rows]
        yield Heard(
            language,
            pad_sequence(states, batch_first=True).to(model.device),
            torch.tensor(list(map(len, states)), device=model.device),
            [romanized(utterances[row_id]) for row_id in rows],
        )


@torch.inference_mode()
def count_errors(
    model: AdaptedModel, heard: Heard, adapter: AdapterWeights | None, adapted: bool = True
) -> Counts:
    """Decode with ``adapter``, the model's own where it is None, or without any."""
    spoken = [heard.language if adapted else None] * len(heard.meant)
    output = model(heard.lengths, spoken, hidden=heard.hidden, adapter=adapter)
    said = greedy_decode(output["logits"], output["lengths"], model.vocabulary)
    return [
        [count.errors for count in character_errors(heard.meant, said)],
        [count.errors for count in word_errors(heard.meant, said)],
    ]
