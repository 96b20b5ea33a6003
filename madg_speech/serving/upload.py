"""A multipart request to a file of its own, within limits, and gone when the request is."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message

from madg_speech.serving.limits import Limits
from madg_speech.serving.refusal import Refusal

_FIELDS = 64
_FIELD_BYTES = 64_000
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Upload:
    """What a request brought.

    Attributes:
        path: the audio, under a name of ours.
        name: what the client calls it, without folders.
        form: all fields.
    """

    path: Path
    name: str
    form: FormData

    def text(self, field: str) -> str | None:
        """A field's text; None where it is absent or blank.

        Raises:
            Refusal: it is a file.
        """
        value = self.form.get(field)
        if isinstance(value, UploadFile):
            raise Refusal(400, f"{field} is a file; expected text", param=field)
        return value.strip() or None if value else None


@asynccontextmanager
async def receive_upload(request: Request, limits: Limits) -> AsyncIterator[Upload]:
    """Read a ``multipart/form-data`` request with audio in its field ``file``.

    While it arrives the audio is in a file without a name, which no crash leaves behind; then in a
    temporary folder, deleted on the way out.

    Raises:
        Refusal: 413 too large, 408 too slow, 400 no such form or no file in it.
        ClientDisconnect: the client went away before the end.
    """
    bounded = _bounded(request, limits)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            form = await bounded.form(max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except TimeoutError:
        raise Refusal(
            408, f"the upload took over {limits.upload_seconds:.0f} s; send a smaller file"
        ) from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refusal(
                400,
                "no audio: expected multipart/form-data with a file in the field 'file', "
                "such as curl -F file=@talk.wav",
                param="file",
            )
        with tempfile.TemporaryDirectory(prefix="madg-speech-") as folder:
            path = Path(folder) / "upload"
            await run_in_threadpool(_store, file, path)
            name = PurePosixPath((file.filename or "").replace("\\", "/")).name
            yield Upload(path, name or "audio", form)
    finally:
        await form.close()


async def drain(request: Request) -> None:
    """Read on, for a while, what a client is still sending: it hears an answer only afterwards.

    A client that asked to be told first (``Expect: 100-continue``, as curl does) sends nothing.
    """
    if "expect" in request.headers or getattr(request.state, "all_arrived", False):
        return
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await request.receive()).get("more_body"):
                pass
    except TimeoutError:
        pass


def _bounded(request: Request, limits: Limits) -> Request:
    """The same request; reading more than the limit from it raises Refusal."""
    refusal = Refusal(
        413,
        f"the upload is over {limits.megabytes:g} MB, the limit of this server; send a shorter or "
        "a compressed recording (Opus, mp3), or cut it in parts",
        param="file",
        code="file_too_large",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.upload_bytes:
        raise refusal
    arrived = 0

    async def receive() -> Message:
        nonlocal arrived
        message = await request.receive()
        arrived += len(message.get("body", b""))
        request.state.all_arrived = not message.get("more_body")
        if arrived > limits.upload_bytes:
            raise refusal
        return message

    return Request(request.scope, receive)


def _store(file: UploadFile, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
