import json
from pathlib import Path

import pytest

from madg_speech.data.manifest import Utterance, read_manifest, write_manifest
from madg_speech.errors import ManifestError

LINE = {"id": "a", "audio": "a.wav", "text": "habari", "lang": "swh", "seconds": 1.5}


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "m.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_round_trip_keeps_everything_and_stores_relative_paths(tmp_path: Path) -> None:
    rows = [
        Utterance("a", tmp_path / "x" / "a.wav", "ọ̀rọ̀", "yor", 2.25, "s1", "here", "MIT"),
        Utterance("b", Path("/elsewhere/b.wav"), "", "swh", 1.0),
    ]
    assert write_manifest(tmp_path / "m.jsonl", rows) == 2
    assert read_manifest(tmp_path / "m.jsonl") == rows
    assert json.loads((tmp_path / "m.jsonl").read_text().splitlines()[0])["audio"] == "x/a.wav"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        (json.dumps({k: v for k, v in LINE.items() if k != "lang"}), "missing lang"),
        (json.dumps(LINE | {"seconds": 0}), "above 0"),
        (json.dumps(LINE | {"seconds": "long"}), "'long'"),
        (json.dumps(LINE | {"audio": ""}), "audio must be"),
        (json.dumps(LINE), "used in line 1"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words) as caught:
        read_manifest(manifest(tmp_path, json.dumps(LINE), "", line))
    assert "m.jsonl:3" in str(caught.value)


def test_empty_and_missing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no utterance"):
        read_manifest(manifest(tmp_path, ""))
    with pytest.raises(ManifestError, match="not found"):
        read_manifest(tmp_path / "none.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = manifest(tmp_path, json.dumps(LINE))

    def broken():
        yield Utterance("b", tmp_path / "b.wav", "", "swh", 1.0)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_manifest(path, broken())
    assert [u.id for u in read_manifest(path)] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]
