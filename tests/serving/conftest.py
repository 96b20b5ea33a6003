"""A real server in a thread, on a tiny model, with a temporary folder of its own to look into."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import soundfile
import uvicorn

from madg_speech.serving.app import build_app
from madg_speech.serving.limits import Limits
from madg_speech.transcribe import Transcriber
from tests.conftest import build_model
from tests.speech import RATE, speak


@dataclass
class Served:
    web: httpx.Client
    transcriber: Transcriber
    temporary: Path

    @property
    def url(self) -> str:
        return str(self.web.base_url).rstrip("/")

    def post(
        self, audio: bytes, path: str = "/v1/audio/transcriptions", **fields: str
    ) -> httpx.Response:
        return self.web.post(
            path,
            files={"file": ("talk.wav", audio)},
            data={"model": "whisper-1", "language": "swh"} | fields,
        )

    def wait_for_uploads(self, count: int) -> None:
        """Return once so many uploads lie in the temporary folder."""
        deadline = time.monotonic() + 20
        while len(list(self.temporary.rglob("upload"))) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def left_over(self) -> list[Path]:
        """Temporary files, once the server has had a moment."""
        for _ in range(100):
            found = list(self.temporary.rglob("*"))
            if not found:
                break
            time.sleep(0.05)
        return found


def wav(text: str) -> bytes:
    """A recording of ``text`` in tones."""
    buffer = BytesIO()
    soundfile.write(buffer, speak(text), RATE, format="WAV")
    return buffer.getvalue()


@contextmanager
def running(transcriber: Transcriber, limits: Limits | None = None) -> Iterator[httpx.Client]:
    """Serve from a thread; yields a client of it."""
    config = uvicorn.Config(
        build_app(transcriber, "tiny", limits), port=0, log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, verify=False, trust_env=False
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture(scope="session")
def transcriber(tiny_whisper: Path) -> Transcriber:
    return Transcriber(build_model(tiny_whisper, kind="madg-ls", layer_embedding_size=4))


@pytest.fixture(scope="session")
def web(transcriber: Transcriber) -> Iterator[httpx.Client]:
    limits = Limits(megabytes=1.0, minutes=0.25, waiting=30, upload_seconds=5.0)
    with running(transcriber, limits) as client:
        yield client


@pytest.fixture
def served(
    web: httpx.Client, transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Served:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return Served(web, transcriber, folder)
