"""Kaldi folders and datasets on disk give the same utterances as a manifest."""

from pathlib import Path

import pytest
from datasets import Audio, Dataset, disable_progress_bars

from madg_speech.data.manifest import read_manifest
from madg_speech.data.readers import read_speech
from madg_speech.errors import ManifestError
from tests.speech import write_corpus


def kaldi(folder: Path, lines: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in lines.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_file_is_a_manifest(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    assert read_speech(manifest) == read_manifest(manifest)


def test_kaldi(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    folder = kaldi(
        tmp_path / "k",
        {
            "wav.scp": f"u1 {tmp_path}/swh-0.wav\nu2 ../yor-0.wav\n",
            "text": "u1 ba  do\nu2\n",
            "utt2spk": "u1 ann\nu2 bo\n",
            "utt2lang": "u1 swh\n",
        },
    )
    with pytest.raises(ManifestError, match="text:2: utterance without a line in utt2lang"):
        read_speech(folder)
    first, second = read_speech(folder, "yor")
    assert (first.text, first.lang, first.speaker) == ("ba  do", "swh", "ann")
    assert (second.text, second.lang) == ("", "yor")  # an empty reference is kept
    assert second.audio == tmp_path / "yor-0.wav" and second.seconds > 0.1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text": "u9 a\n"}, "text:1: utterance without a line in wav.scp"),
        ({"text": "u1 a\nu1 b\n"}, "id 'u1' is used twice"),
        ({"wav.scp": "u1 sox x.wav -t wav - |\n"}, "nothing is run"),
        ({"segments": "u9 r 0 1\n"}, "text:1: utterance without a line in segments"),
    ],
)
def test_kaldi_folders_that_cannot_be_read(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    write_corpus(tmp_path)
    files = {"wav.scp": "u1 ../swh-0.wav\n", "text": "u1 a\n"}
    folder = kaldi(tmp_path / "k", files | changed)
    with pytest.raises(ManifestError, match=message):
        read_speech(folder, "swh")


@pytest.mark.parametrize("embedded", [True, False])
def test_dataset_on_disk(tmp_path: Path, embedded: bool) -> None:
    disable_progress_bars()
    manifest = write_corpus(tmp_path / "c")
    files = [str(u.audio) for u in read_manifest(manifest)[:2]]
    cells = [{"bytes": Path(f).read_bytes(), "path": None} if embedded else f for f in files]
    table = Dataset.from_dict({"audio": cells, "sentence": ["a", None]})
    table.cast_column("audio", Audio(decode=False)).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(ManifestError, match="--lang"):
        read_speech(tmp_path / "d")
    found = read_speech(tmp_path / "d", "swh")
    assert [(u.id, u.text, u.lang) for u in found] == [
        ("d-000000", "a", "swh"),
        ("d-000001", "", "swh"),
    ]
    assert [u.audio.read_bytes() for u in found] == [Path(f).read_bytes() for f in files]


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no dataset in it"):
        read_speech(tmp_path)
