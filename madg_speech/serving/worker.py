"""One thread that transcribes, one recording after the other, and the short queue before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from madg_speech.audio import duration
from madg_speech.choices import AUTO
from madg_speech.conditioning import Conditioning
from madg_speech.errors import AudioError, MadgSpeechError, UnknownLanguageError
from madg_speech.serving.limits import Limits
from madg_speech.serving.refusal import Refusal
from madg_speech.serving.upload import Upload
from madg_speech.transcribe import Transcriber
from madg_speech.transcript import Failure, Transcript


class Worker:
    """A transcriber that requests share. Its methods are called on the event loop.

    Args:
        transcriber: used by one thread, whatever the number of requests.
        limits: of duration and of waiting requests.
    """

    def __init__(self, transcriber: Transcriber, limits: Limits):
        self.transcriber = transcriber
        self.limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transcribe")
        self._admitted = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request, from before its upload to its answer.

        Raises:
            Refusal: 429, all are taken.
        """
        if self._admitted > self.limits.waiting:
            raise Refusal(
                429,
                f"busy: one recording is being transcribed and {self.limits.waiting} wait; try "
                "again in a while",
                code="queue_full",
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    def condition(self, lang: str | None) -> Conditioning | str:
        """The adapter for a language, or ``auto`` where none is named: Whisper listens then.

        Raises:
            Refusal: 400, no such language; names near matches.
        """
        if lang is None or lang.lower() == AUTO:
            return AUTO
        try:
            return self.transcriber.condition(lang)
        except UnknownLanguageError as error:
            raise Refusal(400, str(error), param="language", code="unknown_language") from error

    async def transcribe(
        self, request: Request, upload: Upload, lang: Conditioning | str
    ) -> Transcript:
        """Wait for the thread, then for the transcript.

        Raises:
            Refusal: 400 or 413, the audio cannot be transcribed or is too long.
            ClientDisconnect: nobody waits for the answer any more. A recording not yet begun is
                skipped, one under way is given up at its next batch of windows.
        """
        gone = threading.Event()
        job = asyncio.wrap_future(self._thread.submit(self._work, upload, lang, gone))
        watch = asyncio.ensure_future(_disconnected(request))
        try:
            either: list[asyncio.Future[Any]] = [job, watch]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                gone.set()
            return await job
        finally:
            gone.set()  # also where the server is shutting down
            watch.cancel()

    def close(self) -> None:
        """Let the thread end; what waits is not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, upload: Upload, lang: Conditioning | str, gone: threading.Event) -> Transcript:
        def go_on(seconds: float) -> None:
            if gone.is_set():
                raise ClientDisconnect

        go_on(0.0)
        # One second more than allowed tells too long from just long enough.
        end = self.limits.seconds + 1
        too_long = Refusal(
            413,
            f"{upload.name} is over {self.limits.minutes:g} minutes long, the limit of this "
            "server; cut it in parts",
            param="file",
            code="audio_too_long",
        )
        try:
            if duration(upload.path, at_most=end) > self.limits.seconds:
                raise too_long
            (result,) = self.transcriber.transcribe_many(
                [upload.path], lang, end=end, on_progress=go_on
            )
            if isinstance(result, Failure):
                raise result.error
        except MadgSpeechError as error:
            field = "file" if isinstance(error, AudioError) else "language"
            message = str(error).replace(str(upload.path), upload.name)
            raise Refusal(400, message, param=field) from error
        if result.seconds > self.limits.seconds:  # the header lied
            raise too_long
        return replace(result, source=Path(upload.name))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
