"""A local cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from madg_speech.errors import ConfigError
from madg_speech.model import AdaptedModel
from madg_speech.request import Request
from madg_speech.worklist import find_work, write_transcript
from madg_speech.writers import Format
from tests.speech import WORDS, speak

WORKER = "MapWorker"  # in the title that Ray gives to processes of a map with state


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in range(24):
        words = " ".join(WORDS["swh"][number % 4 :] + WORDS["yor"][: number % 3])
        soundfile.write(folder / f"{number:02}.wav", speak(words), 16000)
    (folder / "bad.wav").write_bytes(b"RIFF, or so it says")
    return folder


@pytest.fixture
def request_(model: AdaptedModel, tmp_path: Path) -> Request:
    model.save_pretrained(tmp_path / "checkpoint")
    return Request(("swh",), checkpoint=str(tmp_path / "checkpoint"), device="cpu")


@pytest.fixture
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install madg-speech[ray]")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def parent(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return int(status.split("PPid:")[1].split()[0])


def workers_of_this_process() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            title = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        ancestor = int(entry.name)
        while ancestor > 1 and ancestor != os.getpid():
            ancestor = parent(ancestor)
        if WORKER in title and ancestor == os.getpid():
            found.append(int(entry.name))
    return found


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for Ray's processes in /proc")
def test_a_killed_worker_loses_nothing(
    cluster: None, talks: Path, request_: Request, tmp_path: Path
) -> None:
    from madg_speech.cluster import transcribe_on_ray

    work = find_work([talks])
    targets = work.targets(tmp_path / "out", Format.all)
    outcomes = transcribe_on_ray(request_, targets)
    finished = [next(outcomes)]
    victim, *others = workers_of_this_process()
    assert others, "two workers were expected"
    os.kill(victim, signal.SIGKILL)
    finished += outcomes

    assert sorted(outcome.source for outcome in finished) == sorted(work.files)
    (failed,) = (outcome for outcome in finished if outcome.error)
    assert failed.source.name == "bad.wav"
    assert {outcome.language for outcome in finished if not outcome.error} == {"swh"}

    here = work.targets(tmp_path / "here", Format.all)
    good = [file for file in work.files if file.name != "bad.wav"]
    for transcript in request_.load(lambda line: None).run(good):
        write_transcript(transcript, here[transcript.source])
    assert texts(tmp_path / "out") == texts(tmp_path / "here")


def test_without_ray_it_says_what_to_install(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    from madg_speech.cluster import transcribe_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"madg-speech\[ray\]"):
        next(transcribe_on_ray(request_, {}))
