"""The frozen-prefix cache: outputs of the layers below the first adapter, computed once, kept on disk.

Layout: ``<cache>/prefix/<key>/states.f16`` holds hidden states as float16 [frames, H], utterance after
utterance; ``index.jsonl`` says where each audio file (by content hash) lies. The key covers the
backbone's weights, the layer, the front end, its padding rule and the dtype, so nothing stale is read;
augmented views lie in folders of their own inside, named by number and settings.
An index line is written after its states are on disk: a killed build goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import Progress

from madg_speech.audio import SAMPLE_RATE
from madg_speech.cache import cache_dir
from madg_speech.errors import AudioError, DataError
from madg_speech.model import AdaptedEncoder

Features = Callable[[Sequence[str], Sequence[np.ndarray]], tuple[torch.Tensor, torch.Tensor]]


class PrefixCache:
    """Hidden states by audio hash, memory-mapped; build missing ones with :meth:`fill`."""

    def __init__(self, model: AdaptedEncoder, view: str = ""):
        """Open the cache of the audio as it is, or of the augmented ``view`` of that name."""
        self.width = model.backbone.hidden_size
        self.folder = cache_dir() / "prefix" / _key(model) / view
        self.states = self.folder / "states.f16"
        self.index: dict[str, tuple[int, int]] = {}
        self._map: np.ndarray | None = None
        self._read_index()

    def __getitem__(self, audio_hash: str) -> np.ndarray:
        """Hidden states [frames, H], float16; KeyError if they were not computed."""
        offset, frames = self.index[audio_hash]
        if self._map is None:
            self._map = np.memmap(self.states, np.float16, "r").reshape(-1, self.width)
        states: np.ndarray = self._map[offset : offset + frames]
        return states

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
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            self._read_index()
            missing = sorted((h for h in audio if h not in self.index), key=lambda h: seconds[h])
            padded = {h: _padded_seconds(model, seconds[h]) for h in missing}
            if not missing:
                return
            self.check_size(model, (seconds[h] for h in missing), limit_gb)
            broken: list[str] = []
            console = Console(stderr=True)
            with Progress(
                console=console, transient=True, disable=not console.is_terminal
            ) as progress:
                hours = sum(seconds[h] for h in missing) / 3600
                bar = progress.add_task(f"frozen layers of {hours:.1f} h", total=hours)
                with self.states.open("ab") as out, self._index_file.open("a") as index:
                    out.truncate(self._used * self.width * 2)
                    for batch in _batches(missing, padded, seconds_per_batch):
                        self._compute(model, batch, audio, features, out, index, broken)
                        progress.advance(bar, sum(seconds[h] for h in batch) / 3600)
            self._map = None
        if broken:
            raise AudioError(f"{len(broken)} files cannot be used, first: {broken[0]}")

    def _compute(
        self,
        model: AdaptedEncoder,
        batch: Sequence[str],
        audio: dict[str, Path],
        features: Features | None,
        out: BinaryIO,
        index: TextIO,
        broken: list[str],
    ) -> None:
        from madg_speech.audio import load_audio

        waveforms: dict[str, np.ndarray] = {}
        for key in batch:
            try:
                waveforms[key] = load_audio(audio[key])
            except AudioError as error:
                broken.append(str(error))
        if not waveforms:
            return
        heard = list(waveforms.values())
        mel = features(list(waveforms), heard) if features else model.backbone.features(heard)
        hidden, frames = model.prefix(*mel)
        hidden = hidden.to(torch.float16).cpu()
        lines = [""]  # begins a line of its own, also after the half line of a killed build
        for key, row, count in zip(waveforms, hidden, frames.tolist(), strict=True):
            row[:count].numpy().tofile(out)
            lines.append(json.dumps({"audio": key, "offset": self._used, "frames": count}))
            self.index[key] = (self._used, count)
            self._used += count
        out.flush()
        os.fsync(out.fileno())
        index.write("\n".join(lines))
        index.flush()

    @property
    def _index_file(self) -> Path:
        return self.folder / "index.jsonl"

    def _read_index(self) -> None:
        self.index, self._used = {}, 0
        if not self._index_file.is_file():
            return
        for line in self._index_file.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line a killed build was writing
            self.index[entry["audio"]] = (entry["offset"], entry["frames"])
            self._used = max(self._used, entry["offset"] + entry["frames"])

    def check_size(self, model: AdaptedEncoder, seconds: Iterable[float], limit_gb: float) -> None:
        """DataError if utterances of these lengths would exceed the limit or the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        count = model.backbone.front_end.frames
        frames = sum(count(round(length * SAMPLE_RATE)) for length in seconds)
        needed = frames * self.width * 2 / 1e9
        free = shutil.disk_usage(self.folder).free / 1e9
        if needed > limit_gb:
            raise DataError(
                f"the prefix cache would take {needed:.1f} GB, the limit is {limit_gb:g}: raise "
                "training.cache_limit_gb or set training.cache_prefix: false"
            )
        if needed > free:
            raise DataError(
                f"the prefix cache needs {needed:.1f} GB, {self.folder} has {free:.1f} GB free: "
                "set MADG_CACHE to a larger disk or training.cache_prefix: false"
            )


def _key(model: AdaptedEncoder) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(
        f"{model.backbone.front_end.rule} float16 layers below {model.prefix_layers}".encode()
    )
    name = Path(model.backbone.name).name
    return f"{name}-below-{model.prefix_layers}-{digest.hexdigest()}"


def _padded_seconds(model: AdaptedEncoder, seconds: float) -> float:
    """What an utterance takes up alone: a front end may pad it to a full window."""
    front_end = model.backbone.front_end
    padded: float = front_end.frames(round(seconds * SAMPLE_RATE)) / front_end.frame_rate
    return padded


def _batches(
    ordered: Sequence[str], seconds: dict[str, float], seconds_per_batch: float
) -> list[list[str]]:
    batches: list[list[str]] = [[]]
    for key in ordered:
        if batches[-1] and (len(batches[-1]) + 1) * seconds[key] > seconds_per_batch:
            batches.append([])
        batches[-1].append(key)
    return batches
