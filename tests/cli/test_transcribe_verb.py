import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import soundfile

from madg_speech.cli import main
from madg_speech.model import AdaptedModel
from madg_speech.transcribe import Transcriber
from tests.speech import speak


@dataclass
class Outcome:
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> Run:
    """Run `madg-speech transcribe ARGS --checkpoint ...` in this process."""

    def call(*args: object, lang: str = "swh") -> Outcome:
        words = ["transcribe", *map(str, args), "--lang", lang, "--checkpoint", str(checkpoint)]
        monkeypatch.setattr(sys, "argv", ["madg-speech", *words])
        try:
            main()
            status = 0
        except SystemExit as exit:
            status = int(exit.code or 0)
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def checkpoint(model: AdaptedModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, word in (("one.wav", "bado"), ("two.flac", "kukudada"), ("deep/three.ogg", "oko")):
        path = tmp_path / "talks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, speak(word), 16000)
    (tmp_path / "talks" / "notes.md").write_text("no audio")
    return tmp_path / "talks"


def test_one_file_is_its_text_and_one_line_of_advice(run: Run, folder: Path) -> None:
    result = run(folder / "one.wav")
    assert result.status == 0
    assert result.out.strip()
    assert result.out.count("\n") == 1
    assert "\t" not in result.out
    assert result.err.startswith("Swahili (swh): trained on")
    assert result.err.count("\n") == 1
    assert run(folder / "one.wav", "--quiet") == Outcome(0, result.out, "")


def test_a_folder_names_each_file(run: Run, folder: Path) -> None:
    result = run(folder)
    paths = [line.split("\t")[0] for line in result.out.splitlines()]
    assert paths == [str(folder / name) for name in ("deep/three.ogg", "one.wav", "two.flac")]


def test_json_contract(run: Run, folder: Path) -> None:
    (line,) = run(folder / "one.wav", "-f", "json").out.splitlines()
    fields = json.loads(line)
    assert list(fields) == ["file", "language", "adapter", "script", "seconds", "text", "segments"]
    assert fields["file"] == str(folder / "one.wav")
    assert (fields["language"], fields["adapter"], fields["script"]) == ("swh", "swh", "romanized")
    assert fields["seconds"] == pytest.approx(0.6)
    (segment,) = fields["segments"]
    words = segment.pop("words")
    assert segment == {"start": 0.0, "end": 0.6, "text": fields["text"]}
    assert " ".join(word["word"] for word in words) == fields["text"]
    assert all(list(word) == ["start", "end", "probability", "word"] for word in words)


@pytest.mark.parametrize("form", ["txt", "json"])
def test_output_folder_mirrors_the_input(run: Run, folder: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert run(folder, "-o", out, "-f", form).out == ""
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == [f"deep/three.{form}", f"one.{form}", f"two.{form}"]
    assert (out / f"one.{form}").read_text() == run(folder / "one.wav", "-f", form).out


def test_names_that_collide_are_refused_before_anything_is_written(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    soundfile.write(folder / "one.flac", speak("aba"), 16000)
    result = run(folder, "-o", tmp_path / "out")
    assert result.status == 2
    assert "one.wav" in result.err
    assert "one.flac" in result.err
    assert not (tmp_path / "out").exists()


def test_part_of_a_batch_failed(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.wav").write_bytes(b"RIFF, or so it says")
    result = run(folder, tmp_path / "nowhere.wav", "-o", tmp_path / "out")
    assert result.status == 1
    assert len(list((tmp_path / "out").rglob("*.txt"))) == 3
    assert not (tmp_path / "out" / "bad.txt").exists()
    assert "bad.wav" in result.err
    assert "nowhere.wav" in result.err
    assert "2 of 5 files failed" in result.err


def test_the_whole_batch_failed(run: Run, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"")
    result = run(tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "out")
    assert result.status == 2
    assert not (tmp_path / "out").exists()
    nothing = run(tmp_path / "c.wav", tmp_path / "d.wav")
    assert nothing.status == 2
    assert "c.wav" in nothing.err
    assert "d.wav" in nothing.err


def test_one_bad_file_is_one_error_line(run: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "still.wav", np.zeros(16000), 16000)
    result = run(tmp_path / "still.wav", "-q")
    assert result.status == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert "still.wav" in result.err


def test_bad_requests(run: Run, folder: Path, tmp_path: Path) -> None:
    audio = folder / "one.wav"
    (tmp_path / "empty").mkdir()
    for args, lang, said in (
        ((tmp_path / "empty",), "swh", "no audio in folder"),
        ((audio,), "Swahilli", "Swahili"),
        ((audio, "--adapter-from", "Swahilli"), "swh", "Swahili"),
        ((audio, "--vector", tmp_path / "none.json"), "swh", "none.json"),
        ((audio, "--adapter", tmp_path / "empty"), "swh", "adapter.safetensors"),
        ((audio, "-o", audio), "swh", "is a file"),
    ):
        result = run(*args, lang=lang)
        assert result.status == 2, args
        assert said in result.err.splitlines()[-1], args
        assert result.out == ""


def test_a_language_without_entry_names_the_two_ways_in(run: Run, folder: Path) -> None:
    result = run(folder / "one.wav", lang="Toki Pona")
    assert result.status == 2
    assert "--vector FILE" in result.err
    assert "--adapter DIR" in result.err


def test_adapter_from(run: Run, folder: Path) -> None:
    own = run(folder / "one.wav")
    off = run(folder / "one.wav", "--adapter-from", "none")
    other = run(folder / "one.wav", "--adapter-from", "Finnish")
    assert len({own.out, off.out, other.out}) == 3
    assert "no adapter in use" in off.err
    assert "adapter in use: fin" in other.err


def test_all_formats_and_what_is_done_is_skipped(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder, "-o", out, "-f", "all").status == 0
    written = sorted(out.rglob("*.*"))
    assert len(written) == 15
    assert (out / "one.srt").read_text().startswith("1\n00:00:0")
    (out / "one.vtt").unlink()
    (out / "two.txt").write_text("mine")
    again = run(folder, "-o", out, "-f", "all")
    assert "2 of 3 files done before" in again.err
    assert (out / "one.vtt").exists()
    assert (out / "two.txt").read_text() == "mine"
    run(folder, "-o", out, "-f", "all", "--overwrite")
    assert (out / "two.txt").read_text() != "mine"


def test_nothing_left_to_do_loads_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    run(folder, "-o", tmp_path / "out")
    done = run(folder, "-o", tmp_path / "out", lang="no such language")
    assert done.status == 0
    assert "3 of 3" in done.err


def test_shards_share_the_work(run: Run, folder: Path, tmp_path: Path) -> None:
    for part in ("1/2", "2/2"):
        assert run(folder, "-o", tmp_path / part, "--shard", part).status == 0
    names = [sorted(p.stem for p in (tmp_path / part).rglob("*.txt")) for part in ("1/2", "2/2")]
    assert names == [["three", "two"], ["one"]]
    for wrong in ("0/2", "3/2", "x"):
        assert "expected i/n" in run(folder, "--shard", wrong).err


def test_patterns(run: Run, folder: Path) -> None:
    result = run(folder / "*.wav")
    assert result.status == 0
    assert result.out == run(folder / "one.wav").out
    assert "no file matches" in run(folder / "*.aiff").err


def test_standard_input(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "one.wav").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(file))
        fields = json.loads(run("-", "-f", "json", "-o", "-").out)
    assert fields["file"] == "-"
    assert fields["text"] + "\n" == run(folder / "one.wav").out


def test_start_and_end_in_clock_times(run: Run, folder: Path) -> None:
    result = run(folder / "two.flac", "-f", "json", "--start", "0:00.2", "--end", "0.9")
    assert json.loads(result.out)["segments"][0]["start"] == 0.2
    assert "hh:mm:ss" in run(folder / "two.flac", "--start", "soon").err


def test_several_languages(run: Run, folder: Path) -> None:
    result = run(folder / "one.wav", "-l", "Finnish", "-f", "json")
    fields = json.loads(result.out)
    assert set(fields["language_scores"]) == {"swh", "fin"}
    assert f"heard as {fields['language']}" in result.err
    assert "not several" in run(folder / "one.wav", "-l", "fin", "--adapter-from", "deu").err


def test_interruption_leaves_what_is_finished(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Transcriber.transcribe_many

    def interrupted(self: Transcriber, *args: object, **options: object) -> Iterator[object]:
        results = whole(self, *args, **options)
        yield next(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(Transcriber, "transcribe_many", interrupted)
    result = run(folder, "-o", tmp_path / "out")
    assert result.status == 130
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["three.txt"]


def test_native_script(run: Run, folder: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("".join(f"{chr(0x430 + i)}\n" for i in range(32)), encoding="utf-8")
    result = run(folder / "one.wav", "--lexicon", words, "-f", "json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["script"] == "native"
    words.write_bytes("дом".encode("cp1251"))
    for args, said in (
        (("--lexicon", words), "not UTF-8"),
        (("--lexicon", tmp_path / "none.txt"), "none.txt"),
        (("--lm", tmp_path / "lm.arpa"), "--lexicon FILE"),
        (("--lexicon", words, "-l", "fin"), "one --lang"),
    ):
        bad = run(folder / "one.wav", *args)
        assert bad.status == 2
        assert said in bad.err.splitlines()[-1]


def test_build_lexicon_makes_what_transcribe_reads(
    run: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Habari ya asubuhi. Habari gani?\nKuku wa dada, 12 kuku!\n" * 3)
    argv = ["madg-speech", "build-lexicon", str(text), "-l", "swh", "-o", str(tmp_path / "lex")]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "Swahili: 7 words" in capsys.readouterr().out
    assert (tmp_path / "lex" / "lexicon.txt").read_text().splitlines()[:2] == [
        "habari\t6",
        "kuku\t6",
    ]
    result = run(
        folder / "one.wav",
        *("--lexicon", tmp_path / "lex" / "lexicon.txt", "--lm", tmp_path / "lex" / "lm.arpa"),
    )
    assert result.status == 0, result.err
    assert set(result.out.split()) <= {"habari", "ya", "asubuhi", "gani", "kuku", "wa", "dada"}


def test_the_process_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "madg_speech", "transcribe", tmp_path / "none.mp3", "--lang", "swh"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: audio file or folder not found: {tmp_path / 'none.mp3'}"
    ]
