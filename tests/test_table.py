from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from madg_speech.cli.prepare import app
from madg_speech.data.manifest import read_manifest
from madg_speech.data_prep.table import Columns, prepare_table
from madg_speech.errors import ConfigError, DataError

RATE = 16_000


def write_tone(path: Path, seconds: float = 0.5) -> None:
    tone = 0.1 * np.sin(np.arange(int(RATE * seconds)) * 0.1)
    if path.suffix not in (".m4a", ".webm"):
        soundfile.write(path, tone, RATE)
        return
    codec, rate = ("aac", RATE) if path.suffix == ".m4a" else ("libopus", 48_000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = np.zeros((1, int(rate * seconds)), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def make_table(
    folder: Path, rows: list[str], header: str = "path,text", name: str = "a.csv"
) -> Path:
    table = folder / name
    table.write_text("\n".join([header, *rows]), "utf-8")
    return table


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".m4a", ".webm"])
def test_durations_of_every_format(tmp_path, suffix):
    write_tone(tmp_path / f"x{suffix}")
    report = prepare_table(make_table(tmp_path, [f"x{suffix},habari"]), tmp_path / "o", "swh")
    assert report.seconds == pytest.approx(0.5, abs=0.1)


def test_bad_rows_are_named_and_good_ones_kept(tmp_path):
    write_tone(tmp_path / "a.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    (tmp_path / "noise.wav").write_text("not audio")
    rows = ["a.wav,habari", "empty.wav,x", "noise.wav,x", "gone.wav,x", "a.wav,again", "a.wav,"]
    report = prepare_table(make_table(tmp_path, rows), tmp_path / "o", "swh")
    assert report.train == 1 and report.dev == 0 and len(report.rejected) == 5
    for line, word in zip(
        report.rejected, ("empty", "noise", "gone", "line 2", "line 2"), strict=True
    ):
        assert word in line
    assert "a.csv:5" in report.rejected[2]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_columns_delimiters_and_language_column(tmp_path, delimiter):
    write_tone(tmp_path / "a.wav")
    header = delimiter.join(("clip", "said", "code"))
    table = make_table(tmp_path, [delimiter.join(("a.wav", "habari  yako", "swh"))], header)
    prepare_table(table, tmp_path / "o", columns=Columns("clip", "said", "code"))
    [item] = read_manifest(tmp_path / "o" / "train.jsonl")
    assert (item.text, item.lang, item.audio) == (
        "habari yako",
        "swh",
        (tmp_path / "a.wav").resolve(),
    )
    with pytest.raises(ConfigError, match=r"clip.*--audio-column"):
        prepare_table(table, tmp_path / "o", "swh")


def test_dev_holds_whole_speakers_and_is_stable(tmp_path):
    rows = []
    for number in range(12):
        write_tone(tmp_path / f"{number}.wav")
        rows.append(f"{number}.wav,text,s{number % 4}")
    table = make_table(tmp_path, rows, "path,text,speaker")
    splits = []
    for name in ("one", "two"):
        prepare_table(table, tmp_path / name, "swh", dev=0.25)
        splits.append([read_manifest(tmp_path / name / f"{s}.jsonl") for s in ("train", "dev")])
    assert splits[0] == splits[1]
    train, dev = ({item.speaker for item in part} for part in splits[0])
    assert len(train) == 3 and len(dev) == 1 and not train & dev


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"gone\.wav"):
        prepare_table(make_table(tmp_path, ["gone.wav,x"]), tmp_path / "o", "swh")
    with pytest.raises(DataError, match="no such file"):
        prepare_table(tmp_path / "absent.csv", tmp_path / "o", "swh")
    with pytest.raises(ConfigError, match="--lang"):
        prepare_table(tmp_path / "absent.csv", tmp_path / "o")
    (tmp_path / "latin.csv").write_bytes("path,text\na.wav,café".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        prepare_table(tmp_path / "latin.csv", tmp_path / "o", "swh")


def test_the_command_line_writes_manifests(tmp_path):
    write_tone(tmp_path / "a.wav")
    table = make_table(tmp_path, ["a.wav,habari", "gone.wav,x"])
    result = CliRunner().invoke(
        app, ["csv", str(table), "-o", str(tmp_path / "o"), "--lang", "swh"]
    )
    assert result.exit_code == 0 and "1 train, 0 dev" in result.stdout
    assert len(read_manifest(tmp_path / "o" / "train.jsonl")) == 1
