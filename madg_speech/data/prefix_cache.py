"""The frozen-prefix cache of speech: outputs of the layers below the first adapter, by audio hash.

It lies in ``<cache>/prefix/<key>``. The key covers the backbone's weights, the layer, the front end, its
padding rule and the dtype, so nothing stale is read; augmented views lie in folders of their own inside,
named by number and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.audio import SAMPLE_RATE, load_audio
from madg_speech.cache import cache_dir
from madg_speech.data.state_store import StateStore, cut_rows, fingerprint
from madg_speech.errors import AudioError

Features = Callable[[Sequence[str], Sequence[np.ndarray]], tuple[torch.Tensor, torch.Tensor]]


class PrefixCache(StateStore):
    """Hidden states by audio hash; build missing ones with :meth:`fill`."""

    def __init__(self, model: AdaptedEncoder, view: str = ""):
        """Open the cache of the audio as it is, or of the augmented ``view`` of that name."""
        super().__init__(
            cache_dir() / "prefix" / _key(model) / view,
            model.backbone.hidden_size,
            "audio",
            "raise training.cache_limit_gb or set training.cache_prefix: false",
        )
        self._frames = model.backbone.front_end.frames

    def fill(
        self,
        model: AdaptedEncoder,
        audio: dict[str, Path],
        seconds: dict[str, float],
        limit_gb: float,
        seconds_per_batch: float = 120.0,
        features: Features | None = None,
    ) -> None:
        """Compute what is missing, batched by length, on the model's device.

        Args:
            model: gives :meth:`~AdaptedEncoder.prefix`.
            audio: content hash -> file.
            seconds: content hash -> length.
            limit_gb: refuse to start if the missing states would need more.
            seconds_per_batch: rows x longest row.
            features: content hashes and waveforms -> inputs and lengths, for an augmented view; the
                backbone's own when None.

        Raises:
            DataError: the estimate exceeds ``limit_gb`` or the free disk space.
            AudioError: files that cannot be decoded, all named and counted after the rest is done.
        """
        broken: list[str] = []

        def compute(batch: Sequence[str]) -> dict[str, torch.Tensor]:
            waveforms: dict[str, np.ndarray] = {}
            for key in batch:
                try:
                    waveforms[key] = load_audio(audio[key])
                except AudioError as error:
                    broken.append(str(error))
            if not waveforms:
                return {}
            heard = list(waveforms.values())
            mel = features(list(waveforms), heard) if features else model.backbone.features(heard)
            return cut_rows(waveforms, *model.prefix(*mel))

        self.complete(
            {key: _padded_seconds(model, seconds[key]) for key in audio},
            self.frames,
            compute,
            limit_gb,
            seconds_per_batch,
            lambda total: f"frozen layers of {total / 3600:.1f} h",
        )
        if broken:
            raise AudioError(f"{len(broken)} files cannot be used, first: {broken[0]}")

    def check_seconds(self, seconds: Iterable[float], limit_gb: float) -> None:
        """DataError if utterances of these lengths would exceed the limit or the disk."""
        self.check_size(map(self.frames, seconds), limit_gb)

    def frames(self, seconds: float) -> int:
        """Encoder frames of an utterance."""
        count: int = self._frames(round(seconds * SAMPLE_RATE))
        return count


def _key(model: AdaptedEncoder) -> str:
    rule = f"{model.backbone.front_end.rule} float16 layers below {model.prefix_layers}"
    name = Path(model.backbone.name).name
    digest = fingerprint(model.backbone.state_dict(), rule)
    return f"{name}-below-{model.prefix_layers}-{digest}"


def _padded_seconds(model: AdaptedEncoder, seconds: float) -> float:
    """What an utterance takes up alone: a front end may pad it to a full window."""
    front_end = model.backbone.front_end
    padded: float = front_end.frames(round(seconds * SAMPLE_RATE)) / front_end.frame_rate
    return padded
