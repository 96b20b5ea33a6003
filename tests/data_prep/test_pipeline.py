"""What every corpus shares: the pipeline."""

import json

import pytest
from typer.testing import CliRunner

from madg_speech.cli.prepare import app
from madg_speech.data.manifest import read_manifest
from madg_speech.data_prep.corpora import CORPORA
from madg_speech.errors import DataError
from tests.data_prep.trees import common_voice, ids, run, table, tone, write


def test_every_reason_is_named_and_counted(tmp_path):
    corpus = table(
        tmp_path,
        [f"a_1_{n}\t{text}" for n, text in enumerate(("habari", "", "!?", "x", "x", "x", "x"), 1)],
    )
    for n in (1, 2, 3):
        tone(corpus / f"a_1_{n}.wav")
    (corpus / "a_1_5.wav").write_bytes(b"")
    (corpus / "a_1_6.wav").write_bytes(b"no sound at all, but more than a header's worth of bytes")
    tone(corpus / "a_1_7.wav", 0.01)
    with (corpus / "line_index.tsv").open("ab") as file:
        file.write("a_1_1\tagain\na_1_8\tcafé\n".encode("latin-1"))
    out, summary = run("openslr", corpus, lang="sw", dev=0.0)
    assert ids(out, "train") == ["openslr-swh-a_1_1"]
    assert {reason: count for reason, (count, _) in summary.skipped.items()} == {
        "empty text": 1,
        "text of which nothing is left when normalised": 1,
        "missing audio": 1,
        "audio of 0 bytes": 1,
        "audio that cannot be decoded": 1,
        "audio shorter than 0.1 s": 1,
        "id that was used before": 1,
        "line that is not UTF-8": 1,
    }
    assert len((out / "skipped.tsv").read_text("utf-8").splitlines()) == 8
    assert json.loads((out / "summary.json").read_text())["skipped"]["missing audio"] == 1


def test_a_length_that_the_corpus_has_wrong(tmp_path):
    corpus = common_voice(tmp_path, clips=1)
    write(corpus / "sv-SE/clip_durations.tsv", "clip\tduration[ms]", "train_0.mp3\t9000")
    _, summary = run("common-voice", corpus)
    assert summary.skipped["audio of another length than the corpus says"][0] == 1


def test_unknown_codes_and_shared_ones(tmp_path):
    for locale in ("zh-HK", "yue", "xx-zz"):
        common_voice(tmp_path, locale, clips=1)
    out, summary = run("common-voice", tmp_path / "cv-corpus-21")
    assert summary.skipped["unknown language code 'xx-zz'"][0] == 3
    assert any("both written as yue" in note for note in summary.notes)
    assert any("xx-zz" in note for note in summary.notes)
    assert {u.lang for u in read_manifest(out / "train.jsonl")} == {"yue"}


def test_only_the_languages_asked_for(tmp_path):
    for locale in ("sv-SE", "cy"):
        common_voice(tmp_path, locale, clips=1)
    _, summary = run("common-voice", tmp_path / "cv-corpus-21", langs=("Welsh",))
    assert {iso for iso, _ in summary.parts} == {"cym"}


def test_finished_work_is_skipped_and_failed_work_retried(tmp_path):
    corpus = table(tmp_path, ["a_1_1\tmoja", "a_2_2\tmbili"])
    tone(corpus / "a_1_1.wav")
    out, first = run("openslr", corpus, lang="swh", dev=0.0)
    assert first.skipped["missing audio"][0] == 1
    (corpus / "a_1_1.wav").write_bytes(b"spoilt since, but not read again")
    tone(corpus / "a_2_2.wav")
    # The missing file is a row of another path once it is there: both are judged by name here.
    out, second = run("openslr", corpus, lang="swh", dev=0.0)
    assert ids(out, "train") == ["openslr-swh-a_1_1", "openslr-swh-a_2_2"] and not second.skipped
    _, third = run("openslr", corpus, lang="swh", dev=0.0, fresh=True)
    assert third.skipped["audio that cannot be decoded"][0] == 1


def test_several_processes_give_the_same_manifests(tmp_path):
    corpus = table(tmp_path, [f"a_{n % 7}_{n}\tmoja" for n in range(450)])
    one = tone(corpus / "a_0_0.wav")
    for n in range(1, 450):
        (corpus / f"a_{n % 7}_{n}.wav").hardlink_to(one)
    out, _ = run("openslr", corpus, lang="swh", dev=0.3)
    before = {file.name: file.read_bytes() for file in out.glob("*.jsonl")}
    (out / ".prepare.sqlite").unlink()
    out, summary = run("openslr", corpus, lang="swh", dev=0.3, jobs=2)
    assert {file.name: file.read_bytes() for file in out.glob("*.jsonl")} == before
    assert sum(part.utterances for part in summary.parts.values()) == 450
    train, dev = ({u.speaker for u in read_manifest(out / f"{s}.jsonl")} for s in ("train", "dev"))
    assert train and dev and not train & dev


def test_nothing_usable_ends_with_status_2_and_no_manifest(tmp_path):
    corpus = table(tmp_path, ["a_1_1\tmoja"])
    with pytest.raises(DataError, match="1 x missing audio") as caught:
        run("openslr", corpus, lang="swh")
    assert caught.value.exit_status == 2
    assert not list((tmp_path / "s-out").glob("*.jsonl"))


@pytest.mark.parametrize("corpus", CORPORA)
def test_another_corpus_under_this_name_is_told(tmp_path, corpus):
    write(tmp_path / "c/holiday.txt", "photos")
    with pytest.raises(DataError, match=r"holiday\.txt"):
        run(corpus, tmp_path / "c", lang="swh")
    with pytest.raises(DataError, match="no such file or folder"):
        run(corpus, tmp_path / "absent")


def test_the_right_corpus_is_suggested(tmp_path):
    with pytest.raises(
        DataError, match="looks like common-voice: madg-speech prepare common-voice"
    ):
        run("fleurs", common_voice(tmp_path))


def test_the_command_line(tmp_path):
    corpus = common_voice(tmp_path, clips=1)
    (corpus / "sv-SE/clips/dev_0.mp3").unlink()
    command = ["common-voice", str(corpus), "-o", str(tmp_path / "o"), "--jobs", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "1 languages, 2 utterances" in result.stdout and "1 x missing audio" in result.stderr
    listing = CliRunner().invoke(app, ["--help"]).stdout
    assert all(name in listing for name in CORPORA)
