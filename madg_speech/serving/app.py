"""The web application: routes, errors in one shape, and headers that keep the page to itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from madg_speech.serving.limits import Limits
from madg_speech.serving.openai_api import openai_routes
from madg_speech.serving.page_routes import PAGE, page_routes
from madg_speech.serving.refusal import Refusal
from madg_speech.serving.upload import drain
from madg_speech.serving.worker import Worker
from madg_speech.transcribe import Transcriber

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; media-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def build_app(transcriber: Transcriber, model: str, limits: Limits | None = None) -> FastAPI:
    """The application, for any ASGI server with ONE process: each would load a model of its own.

    Args:
        transcriber: a loaded checkpoint.
        model: its name for clients.
        limits: on uploads, recordings and waiting requests; defaults when left out.
    """
    worker = Worker(transcriber, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    # No generated documentation pages: they load their scripts from elsewhere.
    app = FastAPI(title="madg-speech", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.include_router(openai_routes(worker, model, int(time.time())))
    app.include_router(page_routes(worker, model))
    app.mount("/page", StaticFiles(directory=PAGE))

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.add_middleware(_OwnHeaders)

    @app.exception_handler(Refusal)
    async def refuse(request: Request, refusal: Refusal) -> Response:
        await drain(request)
        return refusal.response()

    @app.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> Response:
        return await refuse(request, Refusal(error.status_code, str(error.detail)))

    @app.exception_handler(ClientDisconnect)
    async def nobody_waits(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nginx's number for it; nobody reads it

    @app.exception_handler(Exception)
    async def our_fault(request: Request, error: Exception) -> Response:
        # Starlette raises it again when the answer is sent: uvicorn logs it.
        return Refusal(
            500, "an error of the server, not of the request; its log says more"
        ).response()

    return app


class _OwnHeaders:
    """Adds ``_HEADERS`` to every answer; passes requests through as they are."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, send_more)
