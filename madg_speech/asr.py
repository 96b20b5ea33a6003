"""Speech recognition as transformers' ``pipeline("automatic-speech-recognition")`` offers it.

>>> from madg_speech import asr_pipeline
>>> asr_pipeline("default", lang="swh")("talk.wav", return_timestamps="word")
{'text': '...', 'chunks': [{'text': '...', 'timestamp': (0.14, 0.5)}, ...]}
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from madg_speech.audio import SAMPLE_RATE
from madg_speech.errors import AudioError, ConfigError
from madg_speech.transcribe import Languages, Transcriber, load
from madg_speech.transcript import Failure, Transcript

Input: TypeAlias = str | Path | bytes | np.ndarray | Mapping[str, Any]
Timestamps: TypeAlias = bool | Literal["word"] | None


def asr_pipeline(
    checkpoint: Path | str = "default",
    lang: Languages | None = None,
    backbone: str | None = None,
    device: str | None = None,
) -> AsrPipeline:
    """Load a checkpoint as a callable; arguments and errors as :func:`madg_speech.load`.

    Args:
        checkpoint: ``default``, a folder or a hub id.
        lang: what is spoken where a call does not say; as in :meth:`Transcriber.transcribe`.
        backbone: in place of the one that the checkpoint names.
        device: ``cpu``, ``cuda``...
    """
    return AsrPipeline(load(checkpoint, backbone, device), lang)


class AsrPipeline:
    """Audio in any of the forms that transformers takes -> ``{"text": ..., "chunks": [...]}``."""

    def __init__(self, transcriber: Transcriber, lang: Languages | None = None):
        self.transcriber = transcriber
        self.lang = lang

    def __call__(
        self,
        inputs: Input | Iterable[Input],
        *,
        lang: Languages | None = None,
        return_timestamps: Timestamps = None,
    ) -> Any:
        """Transcribe one recording, or several in batches.

        Args:
            inputs: a path; the bytes of an audio file; mono samples at 16 kHz [N]; a dict with
                ``array`` or ``raw`` and ``sampling_rate``, or with ``path`` or ``bytes`` (a column of
                `datasets`); or a list or iterator of these.
            lang: what is spoken; the pipeline's own when left out.
            return_timestamps: ``"word"`` for a chunk a word, True for a chunk a segment.

        Returns:
            ``{"text": str}``, with time stamps also ``"chunks"``: ``{"text": str, "timestamp": (start,
            end)}`` each, in seconds. A list of these for several inputs.

        Raises:
            AudioError: audio that cannot be read, or of a form that is not known.
            ConfigError: no language, or time stamps of another kind.
            UnknownLanguageError: no such language.
        """
        if return_timestamps not in (None, False, True, "word"):
            raise ConfigError(
                f"return_timestamps={return_timestamps!r}: expected 'word', or True for segments"
            )
        spoken = self.lang if lang is None else lang
        if spoken is None:
            raise ConfigError(
                "which language is spoken? asr_pipeline(lang='swh'), or lang= in the call"
            )
        if isinstance(inputs, str | Path | bytes | np.ndarray | Mapping):
            (result,) = self([inputs], lang=spoken, return_timestamps=return_timestamps)
            return result
        with tempfile.TemporaryDirectory() as folder:
            files = (_as_file(item, Path(folder) / str(n)) for n, item in enumerate(inputs))
            return [
                _shaped(result, return_timestamps)
                for result in self.transcriber.transcribe_many(files, spoken)
            ]


def _as_file(item: Input, spare: Path) -> Path:
    """Where the audio of an input lies: its own file, or ``spare``, which is written."""
    if isinstance(item, Mapping):
        samples = item.get("array", item.get("raw"))
        if samples is not None:
            return _write(np.asarray(samples), item.get("sampling_rate"), spare)
        item = next((item[key] for key in ("bytes", "path") if item.get(key)), item)
    if isinstance(item, str | Path):
        return Path(item)
    if isinstance(item, bytes):
        spare.write_bytes(item)
        return spare
    if isinstance(item, np.ndarray):
        return _write(item, SAMPLE_RATE, spare)
    raise AudioError(
        f"input of type {type(item).__name__}: expected a path, bytes, an array at 16 kHz, or a dict "
        "with array and sampling_rate"
    )


def _write(samples: np.ndarray, rate: Any, spare: Path) -> Path:
    import soundfile

    if not isinstance(rate, int) or samples.ndim != 1:
        raise AudioError(
            f"array of shape {list(samples.shape)} with sampling_rate {rate!r}: expected mono samples "
            "[N] and a whole number of samples a second"
        )
    soundfile.write(spare, samples.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return spare


def _shaped(result: Transcript | Failure, timestamps: Timestamps) -> dict[str, Any]:
    if isinstance(result, Failure):
        raise result.error
    if not timestamps:
        return {"text": result.text}
    parts = result.words if timestamps == "word" else result.segments
    chunks = [{"text": part.text, "timestamp": (part.start, part.end)} for part in parts]
    return {"text": result.text, "chunks": chunks}
