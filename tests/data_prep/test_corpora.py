"""Corpora to manifests. Trees are made from the documentation each module cites, or marked so."""

import tarfile

import numpy as np
import pytest
import soundfile

from madg_speech.data.manifest import read_manifest
from madg_speech.errors import DataError
from tests.data_prep.trees import RATE, common_voice, ids, parquet, run, sound_bytes, tone, write


def test_common_voice_of_today(tmp_path):
    corpus = common_voice(tmp_path)
    lengths = [f"{s}_{n}.mp3\t500" for s in ("train", "dev", "test") for n in range(2)]
    write(corpus / "sv-SE/clip_durations.tsv", "clip\tduration[ms]", *lengths)
    out, summary = run("common-voice", corpus)
    [first, _] = read_manifest(out / "train.jsonl")
    assert (first.lang, first.text, first.speaker) == ("swe", 'Hej "du", 0', "c0")
    assert (first.source, first.license) == ("common-voice", "CC0-1.0")
    assert first.audio == corpus / "sv-SE/clips/train_0.mp3" and not summary.skipped
    assert {split: part.utterances for (_, split), part in summary.parts.items()} == {
        "train": 2,
        "dev": 2,
        "test": 2,
    }


def test_common_voice_of_2019_and_of_2017(tmp_path):
    old = tmp_path / "one/cy"
    write(old / "train.tsv", "client_id\tpath\tsentence\tup_votes", "a\t0f3c\tBore da\t2")
    tone(old / "clips/0f3c.mp3", rate=16_000)
    out, _ = run("common-voice", old.parent)
    assert read_manifest(out / "train.jsonl")[0].lang == "cym"

    first = tmp_path / "v1"
    cells = 'cv-valid-train/sample-000000.mp3,"learn, then"'
    write(first / "cv-valid-train.csv", "filename,text", cells)
    tone(first / "cv-valid-train/sample-000000.mp3", rate=16_000)
    out, _ = run("common-voice", first)
    assert read_manifest(out / "train.jsonl")[0].text == "learn, then"


def test_common_voice_on_the_hub_keeps_audio_in_tar_files(tmp_path):
    root = tmp_path / "mirror"
    write(root / "transcript/cy/dev.tsv", "client_id\tpath\tsentence", "a\tx.mp3\tBore da")
    shard = root / "audio/cy/dev/cy_dev_0.tar"
    shard.parent.mkdir(parents=True)
    with tarfile.open(shard, "w") as tar:
        tar.add(tone(tmp_path / "x.mp3", rate=16_000), "cy_dev_0/x.mp3")
    out, _ = run("common-voice", root)
    assert read_manifest(out / "dev.jsonl")[0].audio.is_file()


def test_an_archive_of_the_corpus_will_do(tmp_path):
    corpus = common_voice(tmp_path)
    archive = tmp_path / "cv.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(corpus, corpus.name)
    out, summary = run("common-voice", archive)
    assert summary.parts["swe", "train"].utterances == 2
    assert read_manifest(out / "train.jsonl")[0].audio.is_relative_to(out / "unpacked")

    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"cv2.*damaged after \d+ files"):
        run("common-voice", archive.rename(tmp_path / "cv2.tar.gz"))


FLEURS = "{}\t{}.wav\tMungu, {}\tmungu {}\tm u n g u |\t{}\tFEMALE"


@pytest.mark.parametrize("packed", [False, True])
def test_fleurs_tables(tmp_path, packed):
    folder = tmp_path / "fleurs/data/sw_ke"
    for split in ("train", "dev", "test"):
        # Two people read sentence 7: the file's name is the utterance's.
        write(folder / f"{split}.tsv", *(FLEURS.format(7, n, n, n, 8000) for n in (10, 11)))
        clips = [tone(tmp_path / f"{split}/{n}.wav", rate=16_000) for n in (10, 11)]
        (folder / "audio" / split).mkdir(parents=True)
        for clip in clips:
            clip.rename(folder / "audio" / split / clip.name)
        if packed:
            with tarfile.open(folder / f"audio/{split}.tar.gz", "w:gz") as tar:
                tar.add(folder / "audio" / split, split)
            for clip in (folder / "audio" / split).iterdir():
                clip.unlink()
            (folder / "audio" / split).rmdir()
    out, summary = run("fleurs", tmp_path / "fleurs", splits=("dev",))
    assert ids(out, "dev") == ["fleurs-swh-10", "fleurs-swh-11"]
    assert read_manifest(out / "dev.jsonl")[0].text == "Mungu, 10"
    assert list(summary.parts) == [("swh", "dev")] and not summary.skipped


def test_fleurs_parquet(tmp_path):
    cell = {"bytes": sound_bytes(), "path": "123.wav"}
    row = {"id": 1, "num_samples": 8000, "path": "x", "audio": cell, "raw_transcription": "Salaan"}
    parquet(tmp_path / "f/ff_sn/fleurs-validation.parquet", [row])
    out, _ = run("fleurs", tmp_path / "f")
    [found] = read_manifest(out / "dev.jsonl")
    assert (found.id, found.lang) == ("fleurs-fuc-123", "fuc")
    assert found.audio.is_relative_to(out / "audio") and found.audio.read_bytes() == cell["bytes"]


def test_multilingual_librispeech(tmp_path):
    root = tmp_path / "mls_polish"
    for split in ("train", "dev", "test"):
        write(root / split / "transcripts.txt", "12_34_000000\tdzień dobry")
        tone(root / split / "audio/12/34/12_34_000000.flac")
    out, _ = run("mls", tmp_path)
    [found] = read_manifest(out / "train.jsonl")
    assert (found.lang, found.speaker, found.license) == ("pol", "12", "CC-BY-4.0")


def test_voxpopuli_of_the_scripts_and_of_the_hub(tmp_path):
    header = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender"
    name = "20180613-0900-PLENARY-15-cs_20180613-16:30:28_1"
    line = f"{name}\tDěkuji.\tděkuji\t28219\ttrain\tmale"
    made = tmp_path / "made/transcribed_data/cs"
    write(made / "asr_train.tsv", header, line)
    tone(made / "2018" / f"{name}.ogg", rate=16_000)
    out, summary = run("voxpopuli", tmp_path / "made")
    [found] = read_manifest(out / "train.jsonl")
    assert (found.lang, found.text, found.speaker) == ("ces", "děkuji", "28219")
    assert summary.skipped["split without its tsv file"][0] == 2

    hub = tmp_path / "hub/data/cs"
    write(hub / "asr_train.tsv", header, line)
    (hub / "train").mkdir()
    with tarfile.open(hub / "train/train_part_0.tar.gz", "w:gz") as tar:
        tar.add(tone(tmp_path / "x.wav"), f"train_part_0/{name}.wav")
    out, _ = run("voxpopuli", tmp_path / "hub", splits=("train",))
    assert read_manifest(out / "train.jsonl")[0].audio.is_file()


def test_babel_segments_are_cut_from_sphere(tmp_path):
    name = "BABEL_OP2_202_10003_20131224_180000_inLine"
    folder = tmp_path / "BABEL_OP2_202/conversational/training"
    lines = ["[0.0]", "<no-speech>", "[1.0]", "ndiyo <breath> *bwana* hap-", "[2.5]", "(()) sawa"]
    write(folder / f"transcription/{name}.txt", *lines, "[3.0]", "wacha", "[9.0]")
    sphere = folder / f"audio/{name}.sph"
    sphere.parent.mkdir(parents=True)
    wave = np.concatenate([np.full(RATE * n, level) for n, level in ((1, 0.1), (3, 0.5))])
    soundfile.write(sphere, wave, RATE, "ULAW", format="NIST")
    out, summary = run("babel", tmp_path / "BABEL_OP2_202")
    [found] = read_manifest(out / "train.jsonl")
    assert (found.lang, found.text, found.seconds) == ("swh", "ndiyo bwana", 1.5)
    assert found.speaker == "202_10003_inLine"
    samples, rate = soundfile.read(found.audio)
    assert rate == RATE and samples == pytest.approx(0.5, abs=0.02)
    assert {reason: count for reason, (count, _) in summary.skipped.items()} == {
        "segment without speech": 1,
        "segment with foreign or unintelligible speech": 1,
        "segment that ends before it starts, or after its recording": 1,
    }


def test_alffa_finds_wav_files_that_moved(tmp_path):
    """wav.scp is a real excerpt of ASR/AMHARIC/data/test/wav.scp; the other files are made."""
    folder = tmp_path / "ASR/AMHARIC/data/test"
    scp = "01_d501021\t/home/melese/kaldi/data/test/wav/01_d501021.wav"
    write(folder / "wav.scp", scp, scp.replace("1021", "1022"))
    write(folder / "text", "01_d501021 ሰላም ነው", "01_d501022 ደህና")
    write(folder / "utt2spk", "01_d501021 01", "01_d501022 01")
    tone(folder / "wav/01_d501021.wav")
    out, summary = run("alffa", tmp_path / "ASR")
    [found] = read_manifest(out / "test.jsonl")
    assert (found.lang, found.text, found.speaker) == ("amh", "ሰላም ነው", "01")
    assert summary.skipped["missing audio"][0] == 1


def test_openslr_tables(tmp_path):
    read = tmp_path / "r/jv_id_female"
    write(
        read / "line_index.tsv", "jvf_00264_00000001 \tUga ana sing", "jvf_00264_00000002\tx\tLiya"
    )
    for n in (1, 2):
        tone(read / f"wavs/jvf_00264_0000000{n}.wav")
    out, _ = run("openslr", read, dev=0.0, license="CC-BY-SA-4.0")
    found = read_manifest(out / "train.jsonl")
    assert [u.text for u in found] == ["Uga ana sing", "Liya"]
    assert {(u.lang, u.speaker, u.license) for u in found} == {("jav", "jvf_00264", "CC-BY-SA-4.0")}

    asr = tmp_path / "s/asr_sundanese"
    write(asr / "utt_spk_text.tsv", "0000d0b1\t7b3a\tsampurasun")
    tone(asr / "data/00/0000d0b1.flac")
    out, _ = run("openslr", tmp_path / "s", dev=0.0)
    assert read_manifest(out / "train.jsonl")[0].lang == "sun"

    write(tmp_path / "t/stuff/line_index.tsv", "a\tb")
    with pytest.raises(DataError, match="--lang"):
        run("openslr", tmp_path / "t")


def test_wilderness(tmp_path):
    """LangList.txt is a real excerpt (its last line)."""
    root = tmp_path / "w"
    write(
        root / "LangList.txt",
        "ZLMAVB may https://en.wikipedia.org/wiki/Malay_language http://listen.bible.is/ZLMAVB/Matt/1/D "
        "3.8 101.41 11043 6.38 12132 6.03 19:12:31 5.03 4.94 Malay ",
    )
    for name in ("ZLMAVB", "YUASBM"):
        write(
            root / name / "aligned/etc/txt.done.data",
            '( MAT_001_001 "kata \\"ini\\"" 1.23 )',
            "(x)",
        )
        tone(root / name / "aligned/wav/MAT_001_001.wav")
    out, summary = run("wilderness", root, dev=0.0)
    found = {u.lang: u.text for u in read_manifest(out / "train.jsonl")}
    assert found == {"zsm": 'kata "ini"', "yua": 'kata "ini"'}
    assert summary.skipped['line that is not ( id "text" score )'][0] == 2


def test_ml_superb(tmp_path):
    folder = tmp_path / "s/mls/fra"
    for name in ("1h_train", "10min_train", "10min_dev", "10min_test"):
        write(folder / f"transcript_{name}.txt", f"mls_fra_{name}\tA\tBonjour à tous")
        tone(folder / f"wav/mls_fra_{name}.wav")
    out, _ = run("ml-superb", tmp_path / "s")
    assert ids(out, "train") == ["ml-superb-fra-mls_fra_1h_train"]
    assert not (out / "train_10min.jsonl").exists()
    out, _ = run("ml-superb", tmp_path / "s", splits=("train_10min",))
    assert ids(out, "train_10min") == ["ml-superb-fra-mls_fra_10min_train"]


def test_bloom_keeps_each_rows_licence(tmp_path):
    audio = {"bytes": sound_bytes(), "path": "a.wav"}
    row = {"audio": audio, "text": "Olgeta", "book": "b", "instance": "i", "license": "cc-by-nc"}
    parquet(tmp_path / "bloom/bis/train.parquet", [row, row | {"license": "cc-by-sa"}])
    out, _ = run("bloom", tmp_path / "bloom")
    found = read_manifest(out / "train.jsonl")
    assert [u.license for u in found] == ["CC-BY-NC-4.0", "CC-BY-SA-4.0"]
    assert {u.lang for u in found} == {"bis"}


def test_kaldi_segments_channels_and_commands(tmp_path):
    folder = tmp_path / "data/train"
    tone(folder / "call.wav", 2.0, channels=2)
    write(folder / "wav.scp", f"r1 sph2pipe -f wav -p -c 2 {folder}/call.wav |", "r2 rm -r x |")
    write(folder / "segments", "u1 r1 0.5 1.25", "u2 r2 0 1", "u3 r1 1.5 x", "u4 r9 0 1")
    write(folder / "text", "u1 habari", "u2 habari", "u3 habari", "u4 habari")
    write(folder / "utt2lang", "u1 swahili", "u2 sw", "u3 sw", "u4 sw")
    out, summary = run("kaldi", tmp_path / "data")
    [found] = read_manifest(out / "train.jsonl")
    assert (found.lang, found.seconds) == ("swh", 0.75)
    both, _ = soundfile.read(folder / "call.wav")
    cut, _ = soundfile.read(found.audio)
    assert cut == pytest.approx(both[RATE // 2 : RATE // 2 + len(cut), 1], abs=1e-3)
    assert sorted(summary.skipped) == [
        "command in wav.scp: only files are read, nothing is run",
        "utterance without a line in segments",
        "utterance without a line in wav.scp",
    ]


def test_saved_dataset(tmp_path):
    from datasets import Dataset, DatasetDict

    cell = {"bytes": sound_bytes(), "path": None}
    part = Dataset.from_list([{"id": "a", "audio": cell, "sentence": "Habari", "locale": "sw"}])
    DatasetDict({"train": part, "validation": part}).save_to_disk(tmp_path / "saved")
    out, _ = run("huggingface", tmp_path / "saved")
    assert ids(out, "train") == ids(out, "dev") == ["huggingface-swh-a"]
