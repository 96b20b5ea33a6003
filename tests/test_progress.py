"""A log file hears of long work, and of nothing that was over soon."""

import pytest

from madg_speech import progress as room
from madg_speech.progress import progress, track


def test_a_line_when_enough_time_has_passed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 10.0, 31.0, 40.0, 70.0])  # the start, then a reading for each part
    monkeypatch.setattr(room.time, "monotonic", lambda: next(clock))
    with progress("frozen layers", 8) as advance:
        for part in (1, 1, 2, 4):
            advance(part)
    # 31 s: a quarter is done, three quarters take 93 s. The last part needs no line: all is done.
    assert capsys.readouterr().err.splitlines() == ["frozen layers: 25%, 0:01:33 left"]


def test_short_work_is_silent_and_every_item_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([3, 1, 2], "counting")) == [3, 1, 2]
    assert capsys.readouterr().err == ""
