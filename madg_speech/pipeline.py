"""Files to transcripts: read in a stream, cut into windows, batched by length, put together again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from madg_speech.audio import SAMPLE_RATE, Waveform, check_audible, stream_audio
from madg_speech.conditioning import Conditioning, condition
from madg_speech.decoding.path import PathWord
from madg_speech.errors import AudioError
from madg_speech.recognizers import Recognizer
from madg_speech.transcript import Failure, Segment, Transcript, Word
from madg_speech.windows import Window, cut_windows

POOL_SECONDS = 600.0  # audio read before windows are sorted by length and batched
BATCH_SECONDS = 30.0  # audio in one batch, padding included: more is no faster on a CPU


@dataclass(frozen=True)
class Job:
    """What is asked of every file.

    Attributes:
        conditionings: the best-scoring one is used; none at all: found by listening.
        start: seconds to skip.
        end: seconds from the beginning of the recording at which to stop.
        vad: transcribe only what is speech.
        on_progress: called with the seconds of audio done since the last call.
    """

    conditionings: tuple[Conditioning, ...]
    start: float
    end: float | None
    vad: bool
    on_progress: Callable[[float], None]


@dataclass
class _Reading:
    """One way to hear a recording: with one language's adapter."""

    conditioning: Conditioning
    total: float = 0.0  # log probability, summed over frames or windows
    count: int = 0  # of these
    segments: list[Segment] = field(default_factory=list)


@dataclass
class _Recording:
    """A file on its way: windows wait in the pool, texts come in any order."""

    source: Path
    readings: list[_Reading] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    peak: float = 0.0
    waiting: int = 0
    read: bool = False
    error: AudioError | None = None

    @property
    def finished(self) -> bool:
        return self.error is not None or (self.read and not self.waiting)


@dataclass
class _Pool:
    """Windows read and not yet transcribed; ``unreported`` seconds of audio went into them."""

    items: list[tuple[_Recording, Window]] = field(default_factory=list)
    unreported: float = 0.0


class Pipeline:
    """One job over many files. Memory holds ten minutes of audio, however long the files are."""

    def __init__(self, recognizer: Recognizer, job: Job):
        self.recognizer = recognizer
        self.model = recognizer.model
        self.job = job

    def run(self, sources: Iterable[Path | str]) -> Iterator[Transcript | Failure]:
        """Results in the order of the sources."""
        recordings: list[_Recording] = []
        pool = _Pool()
        for source in sources:
            recording = _Recording(Path(source), [_Reading(one) for one in self.job.conditionings])
            recordings.append(recording)
            for window in self._windows(recording, pool):
                pool.items.append((recording, window))
                if pool.unreported >= POOL_SECONDS:
                    self._empty(pool)
            while recordings and recordings[0].finished:
                yield self._result(recordings.pop(0))
        self._empty(pool)
        for recording in recordings:
            yield self._result(recording)

    def _windows(self, recording: _Recording, pool: _Pool) -> Iterator[Window]:
        """Audible windows of a file; what is wrong with it is noted, not raised."""
        some = False
        try:
            blocks = self._blocks(recording, pool)
            for window in cut_windows(blocks, self.model.backbone.max_seconds, self.job.vad):
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

    def _blocks(self, recording: _Recording, pool: _Pool) -> Iterator[Waveform]:
        """Audio of a file, counted as it passes."""
        for block in stream_audio(recording.source, start=self.job.start, end=self.job.end):
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
        recording.readings = [_Reading(condition(self.model, next(iter(heard))))]

    def _empty(self, pool: _Pool) -> None:
        """Transcribe what is in the pool, windows of like language and length together."""
        items, unreported = pool.items, pool.unreported
        pool.items, pool.unreported = [], 0.0
        if not items:
            self.job.on_progress(unreported)
        items.sort(key=lambda item: (_languages(item[0]), item[1].seconds))
        share = unreported / (sum(window.seconds for _, window in items) or 1.0)
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
                self._transcribe_batch(wanted)
            self.job.on_progress(share * sum(window.seconds for _, window in batch))

    def _transcribe_batch(self, batch: list[tuple[_Recording, Window]]) -> None:
        """Add a segment to each reading."""
        waveforms = [window.waveform for _, window in batch]
        conditionings = [reading.conditioning for reading in batch[0][0].readings]
        for place, heard in enumerate(self.recognizer.recognize(waveforms, conditionings)):
            for (recording, window), one in zip(batch, heard, strict=True):
                reading = recording.readings[place]
                reading.segments.append(self._segment(one.words, window))
                reading.total += one.total
                reading.count += one.count
        for recording, _ in batch:
            recording.waiting -= 1

    def _segment(self, words: list[PathWord], window: Window) -> Segment:
        """Frames of the encoder to seconds of the recording."""
        start, rate = self.job.start + window.start, self.model.backbone.front_end.frame_rate
        timed = (
            Word(
                round(start + word.first / rate, 3),
                round(start + min(word.stop / rate, window.seconds), 3),
                word.text,
                round(math.exp(word.score), 4),
            )
            for word in words
        )
        return Segment(round(start, 3), round(start + window.seconds, 3), tuple(timed))

    def _result(self, recording: _Recording) -> Transcript | Failure:
        if recording.error is not None:
            return Failure(recording.source, recording.error)
        if len(recording.readings) > 1:
            recording.scores = {
                reading.conditioning.label: round(reading.total / max(reading.count, 1), 4)
                for reading in recording.readings
            }
        best = max(recording.readings, key=lambda reading: reading.total)
        return Transcript(
            recording.source,
            best.conditioning.label,
            best.conditioning.origin,
            self.recognizer.script,
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
