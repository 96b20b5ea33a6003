"""Files in, text out: ``load("default").transcribe("talk.wav", lang="swh").text``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from madg_speech.audio import check_audible, stream_audio
from madg_speech.conditioning import Conditioning, condition
from madg_speech.decoding.greedy import greedy_decode
from madg_speech.errors import AudioError, ConfigError
from madg_speech.model import AdaptedModel, checkpoint_folder
from madg_speech.windows import Window, cut_windows

POOL_SECONDS = 600.0  # audio read before windows are sorted by length and batched
BATCH_SECONDS = 60.0  # audio in one batch, padding included


@dataclass(frozen=True, slots=True)
class Segment:
    """The text of one window; start and end in seconds from the beginning of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one recording says.

    Attributes:
        source: the file.
        language: ISO 639-3 code, or the label given with a vector or an adapter of one's own.
        adapter: code of the language whose vector made the adapter, ``none``, or a path.
        script: how the text is spelt: ``romanized``, Latin letters whatever the language's script.
        seconds: length of the recording.
        segments: one a window, in order; silent windows have none.
    """

    source: Path
    language: str
    adapter: str
    script: str
    seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The whole text on one line."""
        return " ".join(segment.text for segment in self.segments if segment.text)


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording of a batch that could not be transcribed, and why."""

    source: Path
    error: AudioError


@dataclass
class _Recording:
    """A file on its way: windows wait in the pool, texts come in any order."""

    source: Path
    seconds: float = 0.0
    peak: float = 0.0
    waiting: int = 0
    read: bool = False
    error: AudioError | None = None
    segments: list[Segment] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return self.error is not None or (self.read and not self.waiting)


def load(
    checkpoint: Path | str = "default",
    backbone: str | None = None,
    device: str | None = None,
) -> Transcriber:
    """Load a checkpoint for transcription.

    Args:
        checkpoint: ``default`` (part of the package) or a folder that `pretrain` wrote.
        backbone: folder or hub id to use in place of the one the checkpoint names.
        device: ``cpu``, ``cuda``...; a GPU if there is one when left out.

    Raises:
        CheckpointError: missing, broken, or made for another backbone.
        BackboneError: the backbone cannot be found.
        ConfigError: no such device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = AdaptedModel.from_pretrained(checkpoint_folder(checkpoint), backbone)
    try:
        return Transcriber(model.to(chosen))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"device {chosen!r} cannot be used: {reason}; cpu always can") from None


class Transcriber:
    """A loaded checkpoint. Threads may share one, each with a language of its own."""

    def __init__(self, model: AdaptedModel):
        self.model = model

    def condition(
        self,
        lang: str,
        *,
        adapter_from: str | None = None,
        vector: Path | str | None = None,
        adapter: Path | str | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> Conditioning:
        """Make an adapter once for many calls; see :func:`madg_speech.conditioning.condition`."""
        return condition(
            self.model,
            lang,
            adapter_from=adapter_from,
            vector=vector,
            adapter=adapter,
            notify=notify,
        )

    def transcribe(
        self,
        source: Path | str,
        lang: str | Conditioning,
        *,
        adapter_from: str | None = None,
    ) -> Transcript:
        """Transcribe one recording of any length, format, sampling rate and channel count.

        Args:
            source: audio file.
            lang: code or name of any language with a URIEL entry, or what :meth:`condition` made.
            adapter_from: use the adapter of another language, or ``none``: for comparison.

        Raises:
            AudioError: not to be decoded, too short, or silent.
            UnknownLanguageError: no such language.
        """
        if isinstance(lang, str):
            lang = self.condition(lang, adapter_from=adapter_from)
        (result,) = self.transcribe_many([source], lang)
        if isinstance(result, Failure):
            raise result.error
        return result

    def transcribe_many(
        self,
        sources: Iterable[Path | str],
        lang: str | Conditioning,
        *,
        on_progress: Callable[[float], None] | None = None,
    ) -> Iterator[Transcript | Failure]:
        """Transcribe recordings, windows of several files in one batch; results in the given order.

        Args:
            sources: audio files; ten minutes of audio are read at a time.
            lang: as in :meth:`transcribe`.
            on_progress: called with the seconds of audio done since the last call.

        Raises:
            UnknownLanguageError: no such language. What is wrong with a file is yielded instead.
        """
        conditioning = self.condition(lang) if isinstance(lang, str) else lang
        recordings: list[_Recording] = []
        pool: list[tuple[_Recording, Window]] = []
        pooled = 0.0
        for source in sources:
            recording = _Recording(Path(source))
            recordings.append(recording)
            for window in self._windows(recording):
                pool.append((recording, window))
                pooled += window.seconds
                if pooled >= POOL_SECONDS:
                    self._empty(pool, conditioning, on_progress)
                    pooled = 0.0
            while recordings and recordings[0].finished:
                yield self._result(recordings.pop(0), conditioning)
        self._empty(pool, conditioning, on_progress)
        for recording in recordings:
            yield self._result(recording, conditioning)

    def _windows(self, recording: _Recording) -> Iterator[Window]:
        """Audible windows of a file; what is wrong with it is noted, not raised."""
        try:
            blocks = stream_audio(recording.source)
            for window in cut_windows(blocks, self.model.backbone.max_seconds):
                recording.seconds += window.seconds
                recording.peak = max(recording.peak, window.peak)
                if not window.silent:
                    recording.waiting += 1
                    yield window
            check_audible(str(recording.source), recording.seconds, recording.peak)
        except AudioError as error:
            recording.error = error
        except OSError as error:
            recording.error = AudioError(f"{recording.source}: {error.strerror or error}")
        recording.read = True

    def _empty(
        self,
        pool: list[tuple[_Recording, Window]],
        conditioning: Conditioning,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        """Transcribe what is in the pool, windows of like length together."""
        pool.sort(key=lambda item: item[1].seconds)
        while pool:
            size = 1
            while size < len(pool) and pool[size][1].seconds * (size + 1) <= BATCH_SECONDS:
                size += 1
            batch, pool[:size] = pool[:size], []
            wanted = [item for item in batch if item[0].error is None]
            if wanted:
                self._transcribe_batch(wanted, conditioning)
            if on_progress:
                on_progress(sum(window.seconds for _, window in batch))

    def _transcribe_batch(
        self, batch: list[tuple[_Recording, Window]], conditioning: Conditioning
    ) -> None:
        row = None if conditioning.weights is None else conditioning.label
        scores, lengths = self.model.log_probs(
            [window.waveform for _, window in batch], [row] * len(batch), conditioning.weights
        )
        texts = greedy_decode(scores, lengths, self.model.vocabulary)
        for (recording, window), text in zip(batch, texts, strict=True):
            recording.waiting -= 1
            recording.segments.append(
                Segment(round(window.start, 3), round(window.start + window.seconds, 3), text)
            )

    def _result(self, recording: _Recording, conditioning: Conditioning) -> Transcript | Failure:
        if recording.error is not None:
            return Failure(recording.source, recording.error)
        return Transcript(
            recording.source,
            conditioning.label,
            conditioning.origin,
            self.model.vocabulary.kind,
            round(recording.seconds, 3),
            tuple(sorted(recording.segments, key=lambda segment: segment.start)),
        )
