"""`transcribe --jobs`: the same files with the same contents, whoever transcribes which."""

from pathlib import Path

import pytest
import soundfile

from madg_speech.errors import CheckpointError
from madg_speech.model import AdaptedModel
from madg_speech.processes import files_per_task, transcribe_in_processes
from madg_speech.request import Request
from madg_speech.worklist import find_work, write_transcript
from madg_speech.writers import Format
from tests.speech import WORDS, speak


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in range(6):
        soundfile.write(
            folder / f"{number}.wav", speak(" ".join(WORDS["swh"][number % 4 :])), 16000
        )
    (folder / "bad.wav").write_bytes(b"RIFF, or so it says")
    return folder


def test_two_processes_write_what_one_does(
    talks: Path, model: AdaptedModel, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "checkpoint")
    request = Request(("swh",), checkpoint=str(tmp_path / "checkpoint"), device="cpu")
    alone = find_work([talks]).targets(tmp_path / "alone", Format.txt)
    for result in request.load(lambda line: None).run(alone):
        if result.source.name != "bad.wav":
            write_transcript(result, alone[result.source])
    shared = find_work([talks]).targets(tmp_path / "shared", Format.txt)
    outcomes = list(transcribe_in_processes(request, shared, jobs=2))
    assert {o.source for o in outcomes} == set(shared)
    assert [o.source.name for o in outcomes if o.error] == ["bad.wav"]
    one, two = (
        {p.name: p.read_text() for p in (tmp_path / name).rglob("*.txt")}
        for name in ("alone", "shared")
    )
    assert len(one) == 6 and one == two


def test_what_is_wrong_in_a_process_is_said_by_its_name(talks: Path, tmp_path: Path) -> None:
    request = Request(("swh",), checkpoint=str(tmp_path / "nowhere"), device="cpu")
    targets = find_work([talks]).targets(tmp_path / "out", Format.txt)
    with pytest.raises(CheckpointError, match="nowhere"):
        list(transcribe_in_processes(request, targets, jobs=2))


def test_tasks_are_small_enough_to_share() -> None:
    assert files_per_task(3, 2) == 1
    assert files_per_task(64, 2) == 8
    assert files_per_task(10_000, 2) == 16
