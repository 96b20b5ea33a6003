import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn

from madg_speech.cli import main
from madg_speech.model import AdaptedModel


def run(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr(sys, "argv", ["madg-speech", "serve", *map(str, args)])
    with pytest.raises(SystemExit) as exit:
        main()
    return int(exit.value.code or 0)


def test_a_port_in_use_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(monkeypatch, "--port", port, "--checkpoint", "/no/such/folder") == 2
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is in use" in said
    assert "--port 0" in said


def test_an_address_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--host", "192.0.2.1", "--port", 0) == 2  # RFC 5737: nobody's
    assert "--host 192.0.2.1" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_listening_beyond_this_machine_is_warned_of(
    model: AdaptedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    host: str,
    warned: bool,
) -> None:
    model.save_pretrained(tmp_path / "mine")
    bound = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: bound.append(sockets[0].getsockname()[0])
    )
    assert run(monkeypatch, "--host", host, "--port", 0, "--checkpoint", tmp_path / "mine") == 0
    assert bound == [host]
    assert ("warning: listening on 0.0.0.0" in capsys.readouterr().err) is warned


def test_it_serves_until_interrupted(model: AdaptedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "mine")
    command = [sys.executable, "-m", "madg_speech", "serve", "--port", "0"]
    command += ["--checkpoint", str(tmp_path / "mine"), "--max-minutes", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr.readline, "")
        announced = next(line for line in lines if "Ctrl-C" in line)
        url = announced.split(" at ")[1].split()[0]
        about = httpx.get(url + "api/about").json()
        assert (about["model"], about["minutes"]) == ("madg-speech-mine", 2.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
