"""``madg-speech serve``."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from madg_speech.errors import ConfigError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. 127.0.0.1: this machine only; 0.0.0.0: whoever reaches it."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one and prints it.")
    ] = 8000,
    max_upload: Annotated[
        float, typer.Option(metavar="MB", min=0.01, help="Largest upload, in megabytes.")
    ] = 200.0,
    max_minutes: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.01, help="Longest recording.")
    ] = 60.0,
    queue: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Requests that may wait while one is transcribed; more are refused (429).",
        ),
    ] = 8,
    checkpoint: Annotated[str, typer.Option(help="`default` or a folder.")] = "default",
    backbone: Annotated[
        str | None, typer.Option(help="Folder or hub id in place of the checkpoint's backbone.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; found when left out.")] = None,
) -> None:
    """Transcribe in the browser, and for programs that speak OpenAI's API.

    Open the printed address: drop or record audio, choose a language, read, listen, download
    subtitles. Programs send audio to /v1/audio/transcriptions:

    \b
      curl http://127.0.0.1:8000/v1/audio/transcriptions \\
        -F file=@talk.mp3 -F model=whisper-1 -F language=swh -F response_format=srt

    One recording is transcribed at a time, others wait. Nothing that is sent stays on disk. There
    are no passwords: to let others in, put a reverse proxy before it (docs/serve.md).
    """
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if not find_spec(name)]
    if missing:
        raise ConfigError(f"serve needs {', '.join(missing)}: pip install 'madg-speech[serve]'")
    # Before the model is loaded: a port in use is known at once.
    with _listen(host, port) as listener:
        import uvicorn

        from madg_speech.serving.app import build_app
        from madg_speech.serving.limits import Limits
        from madg_speech.transcribe import load

        typer.echo(f"loading checkpoint {checkpoint} ...", err=True)
        limits = Limits(megabytes=max_upload, minutes=max_minutes, waiting=queue)
        web = build_app(
            load(checkpoint, backbone, device),
            f"madg-speech-{Path(checkpoint).resolve().name}",
            limits,
        )
        typer.echo(f"madg-speech at {_url(listener)} (Ctrl-C stops it)", err=True)
        if not _loopback(listener):
            typer.echo(
                f"warning: listening on {host}: whoever reaches this machine can use it, without a "
                "password and, unless a reverse proxy encrypts, in plain text",
                err=True,
            )
        config = uvicorn.Config(
            web, log_level="warning", access_log=False, timeout_graceful_shutdown=3
        )
        with suppress(KeyboardInterrupt):  # how it is meant to end
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A bound and listening socket.

    Raises:
        ConfigError: the port is taken or reserved, or the address is not of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = (
                f"port {port} of {host} is in use, perhaps by another madg-speech serve; take "
                "another one (--port), or any free one (--port 0)"
            )
        elif error.errno == errno.EACCES:
            reason = (
                f"port {port} is reserved for the administrator; take one from 1024 on (--port)"
            )
        else:
            reason = f"--host {host}: {error.strerror}; expected an address of this machine"
        raise ConfigError(reason) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
