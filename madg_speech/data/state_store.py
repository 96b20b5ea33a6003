"""Outputs of frozen layers on disk, by key: computed once, memory-mapped, shared by runs and processes.

Layout: ``states.f16`` holds hidden states as float16 [steps, H], one entry after another;
``index.jsonl`` says where each lies. An index line is written after its states are on disk: a killed
build goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from madg_speech.errors import DataError
from madg_speech.progress import progress

Compute = Callable[[Sequence[str]], Mapping[str, Tensor]]


class StateStore:
    """Hidden states by key; a kind of input adds how those that are missing are computed.

    Args:
        folder: of this store alone; its name must change with all that decides the values.
        width: H.
        entry: what an index line calls a key.
        remedy: what the user can do where it would be too large.
    """

    def __init__(self, folder: Path, width: int, entry: str, remedy: str):
        self.folder, self.width, self.entry, self.remedy = folder, width, entry, remedy
        self.states = folder / "states.f16"
        self.index: dict[str, tuple[int, int]] = {}
        self._map: np.ndarray | None = None
        self._read_index()

    def __getitem__(self, key: str) -> np.ndarray:
        """Hidden states [steps, H], float16; KeyError if they were not computed."""
        offset, steps = self.index[key]
        if self._map is None:
            self._map = np.memmap(self.states, np.float16, "r").reshape(-1, self.width)
        states: np.ndarray = self._map[offset : offset + steps]
        return states

    def complete(
        self,
        lengths: Mapping[str, float],
        steps: Callable[[float], int],
        compute: Compute,
        limit_gb: float,
        per_batch: float,
        title: Callable[[float], str],
    ) -> None:
        """Compute what is missing, batched by length.

        Args:
            lengths: key -> length, in seconds or pieces.
            steps: length -> states of an entry, for the estimate.
            compute: keys -> states [steps, H] of each; it may leave out what cannot be computed.
            limit_gb: refuse to start if the missing states would need more.
            per_batch: rows x longest row, in the unit of ``lengths``.
            title: total length -> what the progress bar says.

        Raises:
            DataError: the estimate exceeds ``limit_gb`` or the free disk space.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            self._read_index()
            missing = sorted((k for k in lengths if k not in self.index), key=lengths.__getitem__)
            if not missing:
                return
            size = self.check_size((steps(lengths[key]) for key in missing), limit_gb)
            total = sum(lengths[key] for key in missing)
            with (
                progress(f"{title(total)}, {size:.1f} GB", total) as advance,
                self.states.open("ab") as out,
                self._index_file.open("a") as index,
            ):
                out.truncate(self._used * self.width * 2)
                for batch in _batches(missing, lengths, per_batch):
                    self._append(compute(batch), out, index)
                    advance(sum(lengths[key] for key in batch))
            self._map = None

    def check_size(self, steps: Iterable[int], limit_gb: float) -> float:
        """GB that entries of so many states take; DataError beyond the limit or the free disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = sum(steps) * self.width * 2 / 1e9
        free = shutil.disk_usage(self.folder).free / 1e9
        if needed > limit_gb:
            raise DataError(
                f"the prefix cache would take {needed:.1f} GB, the limit is {limit_gb:g}: "
                f"{self.remedy}"
            )
        if needed > free:
            raise DataError(
                f"the prefix cache needs {needed:.1f} GB, {self.folder} has {free:.1f} GB free: "
                f"set MADG_CACHE to a larger disk, or {self.remedy}"
            )
        return needed

    def _append(self, computed: Mapping[str, Tensor], out: BinaryIO, index: TextIO) -> None:
        lines = [""]  # begins a line of its own, also after the half line of a killed build
        for key, states in computed.items():
            states.numpy().tofile(out)
            lines.append(json.dumps({self.entry: key, "offset": self._used, "frames": len(states)}))
            self.index[key] = (self._used, len(states))
            self._used += len(states)
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
            self.index[entry[self.entry]] = (entry["offset"], entry["frames"])
            self._used = max(self._used, entry["offset"] + entry["frames"])


def cut_rows(keys: Iterable[str], hidden: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """A padded batch [B, T, H] as the float16 states [length, H] of each key, on the host."""
    stored = hidden.to(torch.float16).cpu()
    return {
        key: row[:count] for key, row, count in zip(keys, stored, lengths.tolist(), strict=True)
    }


def fingerprint(state: Mapping[str, Tensor], rule: str) -> str:
    """16 hexadecimal digits that change with any weight and with ``rule``."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(rule.encode())
    return digest.hexdigest()


def _batches(
    ordered: Sequence[str], lengths: Mapping[str, float], per_batch: float
) -> list[list[str]]:
    batches: list[list[str]] = [[]]
    for key in ordered:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[key] > per_batch:
            batches.append([])
        batches[-1].append(key)
    return batches
