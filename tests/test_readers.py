from pathlib import Path

import numpy as np
import pytest
import soundfile

from madg_speech.data.readers import read_speech
from madg_speech.errors import ManifestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.ones(8000) * 0.1, 16_000)
    (tmp_path / "wav.scp").write_text("u1 a.wav\n")
    (tmp_path / "text").write_text("u1 habari yako\n")
    (tmp_path / "utt2spk").write_text("u1 s1\n")
    return tmp_path


def test_a_kaldi_folder_is_read_as_a_manifest_is(folder: Path) -> None:
    [found] = read_speech(folder, "swh")
    assert (found.id, found.text, found.lang, found.speaker) == ("u1", "habari yako", "swh", "s1")
    assert found.seconds == 0.5 and found.audio == (folder / "a.wav").resolve()


def test_evaluation_leaves_nothing_out_in_silence(folder: Path) -> None:
    with pytest.raises(ManifestError, match="--lang"):
        read_speech(folder)
    (folder / "text").write_text("u1 habari\nu2 yako\n")
    with pytest.raises(ManifestError, match=r"text:2: utterance without a line in wav\.scp"):
        read_speech(folder, "swh")
    (folder / "text").write_text("u1 habari\n")
    (folder / "segments").write_text("u1 u1 0.1 0.3\n")
    with pytest.raises(ManifestError, match="madg-speech prepare kaldi"):
        read_speech(folder, "swh")


def test_a_folder_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no dataset"):
        read_speech(tmp_path, "swh")
