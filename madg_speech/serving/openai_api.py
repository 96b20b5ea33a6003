"""``/v1/audio/transcriptions`` and ``/v1/models``, as OpenAI's API reference describes them.

Beyond it: ``language`` is any code or English name that URIEL has. ``prompt``, ``temperature`` and
``stream`` steer an autoregressive decoder; there is none here, so they change nothing.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from madg_speech.serving.refusal import Refusal
from madg_speech.serving.upload import Upload, receive_upload
from madg_speech.serving.worker import Worker
from madg_speech.transcript import Segment, Transcript
from madg_speech.writers import to_srt, to_vtt

ALIAS = "whisper-1"  # what clients send that let nobody choose
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_GRANULARITIES = ("segment", "word")


def openai_routes(worker: Worker, model: str, created: int) -> APIRouter:
    """The two endpoints.

    Args:
        worker: what transcribes.
        model: name under which ``/v1/models`` lists the checkpoint.
        created: Unix time listed with it.
    """
    router = APIRouter(prefix="/v1")
    card = {"id": model, "object": "model", "created": created, "owned_by": "madg-speech"}

    def check_model(name: str | None) -> None:
        if name not in (model, ALIAS):
            given = "no model was named" if name is None else f"the model {name!r} does not exist"
            raise Refusal(
                400 if name is None else 404,
                f"{given}: this server has {model!r} (also called {ALIAS!r})",
                param="model",
                code="model_not_found" if name else None,
            )

    @router.get("/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @router.get("/models/{name}")
    def one_model(name: str) -> dict[str, Any]:
        check_model(name)
        return card

    @router.post("/audio/transcriptions")
    async def transcriptions(request: Request) -> Response:
        with worker.place():
            async with receive_upload(request, worker.limits) as upload:
                check_model(upload.text("model"))
                form = _one_of(
                    _FORMATS, upload.text("response_format") or "json", "response_format"
                )
                detail = _granularities(upload)
                lang = await run_in_threadpool(worker.condition, upload.text("language"))
                transcript = await worker.transcribe(request, upload, lang)
        return _answer(transcript, form, detail)

    return router


def _one_of(allowed: tuple[str, ...], value: str, param: str) -> str:
    if value not in allowed:
        raise Refusal(400, f"{param} {value!r}: expected one of {', '.join(allowed)}", param=param)
    return value


def _granularities(upload: Upload) -> set[str]:
    param = "timestamp_granularities"
    # The reference says ``[]``; some clients leave it out.
    given = upload.form.getlist(f"{param}[]") + upload.form.getlist(param)
    return {_one_of(_GRANULARITIES, str(value), param) for value in given} or {"segment"}


def _answer(transcript: Transcript, form: str, detail: set[str]) -> Response:
    usage = {"type": "duration", "seconds": math.ceil(transcript.seconds)}
    match form:
        case "text":
            return PlainTextResponse(transcript.text + "\n")
        case "srt":
            return PlainTextResponse(to_srt(transcript))
        case "vtt":
            return PlainTextResponse(to_vtt(transcript))
        case "json":
            return JSONResponse({"text": transcript.text, "usage": usage})
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": transcript.language,
        "duration": transcript.seconds,
        "text": transcript.text,
        "usage": usage,
    }
    if "segment" in detail:
        spoken = [segment for segment in transcript.segments if segment.words]
        body["segments"] = [_segment(number, segment) for number, segment in enumerate(spoken)]
    if "word" in detail:
        body["words"] = [
            {"word": word.text, "start": word.start, "end": word.end} for word in transcript.words
        ]
    return JSONResponse(body)


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Clients expect all of Whisper's fields; ``seek``, ``tokens``, ``temperature`` and
    ``no_speech_prob`` have no counterpart in CTC and are constant.
    """
    text = segment.text.encode()
    certain = [math.log(max(word.probability, 1e-10)) for word in segment.words]
    return {
        "id": number,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": sum(certain) / len(certain),
        "compression_ratio": len(text) / len(zlib.compress(text)),  # as openai-whisper defines it
        "no_speech_prob": 0.0,
    }
