"""Files in, text out: ``load("default").transcribe("talk.wav", lang="swh").text``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from madg_speech.audio import SAMPLE_RATE, Waveform, check_audible, stream_audio
from madg_speech.conditioning import Conditioning, condition
from madg_speech.decoding.path import Decoder, GreedyDecoder, PathWord
from madg_speech.errors import AudioError, ConfigError
from madg_speech.model import AdaptedModel, checkpoint_folder
from madg_speech.transcript import Failure, Segment, Transcript, Word
from madg_speech.windows import Window, cut_windows

POOL_SECONDS = 600.0  # audio read before windows are sorted by length and batched
BATCH_SECONDS = 60.0  # audio in one batch, padding included
FRAME_SECONDS = 0.02  # between two outputs of the encoder
AUTO = "auto"

Languages = str | Conditioning | Sequence[str | Conditioning]


@dataclass
class _Reading:
    """One way to hear a recording: with one language's adapter."""

    conditioning: Conditioning
    total: float = 0.0  # log probability of the best path, summed over frames
    segments: list[Segment] = field(default_factory=list)


@dataclass
class _Recording:
    """A file on its way: windows wait in the pool, texts come in any order."""

    source: Path
    readings: list[_Reading] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    peak: float = 0.0
    frames: int = 0
    waiting: int = 0
    read: bool = False
    error: AudioError | None = None

    @property
    def finished(self) -> bool:
        return self.error is not None or (self.read and not self.waiting)


@dataclass(frozen=True)
class _Job:
    """What is asked of every file."""

    conditionings: tuple[Conditioning, ...]  # empty: found by listening
    decoder: Decoder
    start: float
    end: float | None
    vad: bool
    on_progress: Callable[[float], None]


@dataclass
class _Pool:
    """Windows read and not yet transcribed; ``unreported`` seconds of audio went into them."""

    items: list[tuple[_Recording, Window]] = field(default_factory=list)
    unreported: float = 0.0


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
        lang: Languages,
        *,
        adapter_from: str | None = None,
        decoder: Decoder | None = None,
        start: float = 0.0,
        end: float | None = None,
        vad: bool = True,
    ) -> Transcript:
        """Transcribe one recording of any length, format, sampling rate and channel count.

        Args:
            source: audio file.
            lang: code or name of any language with a URIEL entry, or what :meth:`condition` made;
                several: the one is used whose best path has the highest mean log probability per
                frame; ``auto``: the one that frozen Whisper hears, of those Whisper supports.
            adapter_from: use the adapter of another language, or ``none``: for comparison.
            decoder: greedy when left out; :class:`madg_speech.decoding.lexicon.LexiconDecoder`
                for native script.
            start: seconds to skip.
            end: seconds from the beginning of the recording at which to stop.
            vad: in recordings of over 30 s, transcribe only what is speech.

        Raises:
            AudioError: not to be decoded, too short, or silent.
            UnknownLanguageError: no such language.
            ConfigError: ``start`` and ``end`` are no interval, or a lexicon with several languages.
        """
        if adapter_from is not None:
            if not isinstance(lang, str) or lang == AUTO:
                raise ConfigError("adapter_from goes with one language given by code or name")
            lang = self.condition(lang, adapter_from=adapter_from)
        (result,) = self.transcribe_many(
            [source], lang, decoder=decoder, start=start, end=end, vad=vad
        )
        if isinstance(result, Failure):
            raise result.error
        return result

    def transcribe_many(
        self,
        sources: Iterable[Path | str],
        lang: Languages,
        *,
        decoder: Decoder | None = None,
        start: float = 0.0,
        end: float | None = None,
        vad: bool = True,
        on_progress: Callable[[float], None] | None = None,
    ) -> Iterator[Transcript | Failure]:
        """Transcribe recordings, windows of several files in one batch; results in the given order.

        Args:
            sources: audio files; ten minutes of audio are read at a time.
            lang: as in :meth:`transcribe`, like all that is not said here.
            decoder: one object for all files.
            start: of every file.
            end: of every file.
            vad: for every file.
            on_progress: called with the seconds of audio done since the last call.

        Raises:
            UnknownLanguageError: no such language. What is wrong with a file is yielded instead.
            ConfigError: as :meth:`transcribe`.
        """
        if not (0 <= start < math.inf) or (end is not None and not end > start):
            raise ConfigError(f"start {start} and end {end} are no interval: 0 <= start < end")
        given = [lang] if isinstance(lang, str | Conditioning) else list(lang)
        if decoder is not None and (len(given) > 1 or given == [AUTO]):
            raise ConfigError("a lexicon is of one language: give that one, not several or auto")
        job = _Job(
            () if given == [AUTO] else tuple(map(self._as_conditioning, given)),
            decoder or GreedyDecoder(self.model.vocabulary),
            start,
            end,
            vad,
            on_progress or (lambda seconds: None),
        )
        return self._run(sources, job)

    def _as_conditioning(self, lang: str | Conditioning) -> Conditioning:
        return self.condition(lang) if isinstance(lang, str) else lang

    def _run(self, sources: Iterable[Path | str], job: _Job) -> Iterator[Transcript | Failure]:
        recordings: list[_Recording] = []
        pool = _Pool()
        for source in sources:
            recording = _Recording(Path(source), [_Reading(one) for one in job.conditionings])
            recordings.append(recording)
            for window in self._windows(recording, job, pool):
                pool.items.append((recording, window))
                if pool.unreported >= POOL_SECONDS:
                    self._empty(pool, job)
            while recordings and recordings[0].finished:
                yield self._result(recordings.pop(0), job)
        self._empty(pool, job)
        for recording in recordings:
            yield self._result(recording, job)

    def _windows(self, recording: _Recording, job: _Job, pool: _Pool) -> Iterator[Window]:
        """Audible windows of a file; what is wrong with it is noted, not raised."""
        some = False
        try:
            blocks = self._blocks(recording, job, pool)
            for window in cut_windows(blocks, self.model.backbone.max_seconds, job.vad):
                if window.silent:
                    continue
                if not recording.readings:
                    self._listen(recording, window)
                some = True
                recording.waiting += 1
                yield window
            check_audible(str(recording.source), recording.seconds, recording.peak)
            if not some:
                raise AudioError(
                    f"{recording.source}: no speech found in {recording.seconds:.0f} s; "
                    "without voice activity detection (--no-vad) all of it is transcribed"
                )
        except AudioError as error:
            recording.error = error
        except OSError as error:
            recording.error = AudioError(f"{recording.source}: {error.strerror or error}")
        recording.read = True

    def _blocks(self, recording: _Recording, job: _Job, pool: _Pool) -> Iterator[Waveform]:
        """Audio of a file, counted as it passes."""
        for block in stream_audio(recording.source, start=job.start, end=job.end):
            seconds = len(block) / SAMPLE_RATE
            recording.seconds += seconds
            recording.peak = max(recording.peak, float(abs(block).max()))
            pool.unreported += seconds
            yield block

    def _listen(self, recording: _Recording, window: Window) -> None:
        """Choose the language of a file by its first audible window."""
        from madg_speech.decoding.language_id import posterior

        heard = posterior(self.model.backbone, window.waveform)
        recording.scores = dict(list(heard.items())[:5])
        recording.readings = [_Reading(self.condition(next(iter(heard))))]

    def _empty(self, pool: _Pool, job: _Job) -> None:
        """Transcribe what is in the pool, windows of like language and length together."""
        items, unreported = pool.items, pool.unreported
        pool.items, pool.unreported = [], 0.0
        items.sort(key=lambda item: (_languages(item[0]), item[1].seconds))
        share = unreported / max(sum(window.seconds for _, window in items), 1e-9)
        while items:
            size, languages = 1, _languages(items[0][0])
            while (
                size < len(items)
                and items[size][1].seconds * (size + 1) <= BATCH_SECONDS
                and _languages(items[size][0]) == languages
            ):
                size += 1
            batch, items[:size] = items[:size], []
            wanted = [item for item in batch if item[0].error is None]
            if wanted:
                self._transcribe_batch(wanted, job)
            job.on_progress(share * sum(window.seconds for _, window in batch))

    @torch.inference_mode()
    def _transcribe_batch(self, batch: list[tuple[_Recording, Window]], job: _Job) -> None:
        """Add a segment to each reading; the layers below the adapters run once for all languages."""
        features, lengths = self.model.backbone.features([window.waveform for _, window in batch])
        hidden, frames = self.model.prefix(features, lengths)
        for place, reading in enumerate(batch[0][0].readings):
            weights = reading.conditioning.weights
            row = None if weights is None else reading.conditioning.label
            output = self.model(frames, [row] * len(batch), hidden=hidden, adapter=weights)
            scores = output["logits"].float().log_softmax(-1).cpu()
            for (recording, window), row_scores, length in zip(
                batch, scores, frames.tolist(), strict=True
            ):
                own = row_scores[:length]
                words = job.decoder.decode(own)
                target = recording.readings[place]
                target.segments.append(_segment(words, job.start + window.start, window.seconds))
                target.total += float(own.amax(-1).sum())
        for (recording, _), length in zip(batch, frames.tolist(), strict=True):
            recording.frames += length
            recording.waiting -= 1

    def _result(self, recording: _Recording, job: _Job) -> Transcript | Failure:
        if recording.error is not None:
            return Failure(recording.source, recording.error)
        frames = max(recording.frames, 1)
        if len(recording.readings) > 1:
            recording.scores = {
                reading.conditioning.label: round(reading.total / frames, 4)
                for reading in recording.readings
            }
        best = max(recording.readings, key=lambda reading: reading.total)
        return Transcript(
            recording.source,
            best.conditioning.label,
            best.conditioning.origin,
            job.decoder.script,
            round(recording.seconds, 3),
            tuple(sorted(best.segments, key=lambda segment: segment.start)),
            recording.scores,
        )


def _languages(recording: _Recording) -> tuple[str, ...]:
    """What the rows of a batch must have in common: they pass through the same adapters."""
    return tuple(
        f"{reading.conditioning.label} {reading.conditioning.origin}"
        for reading in recording.readings
    )


def _segment(words: list[PathWord], start: float, seconds: float) -> Segment:
    timed = (
        Word(
            round(start + word.first * FRAME_SECONDS, 3),
            round(start + min(word.stop * FRAME_SECONDS, seconds), 3),
            word.text,
            round(math.exp(word.score), 4),
        )
        for word in words
    )
    return Segment(round(start, 3), round(start + seconds, 3), tuple(timed))
