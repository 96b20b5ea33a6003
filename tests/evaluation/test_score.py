"""From hypotheses to scores: counts, groups, what is wrong with the input."""

import json
from pathlib import Path

import jiwer
import pytest

from madg_speech.data.manifest import Utterance
from madg_speech.errors import DataError
from madg_speech.evaluation.folder import by_language, write_leaks, write_references
from madg_speech.evaluation.hypotheses import read_hypotheses
from madg_speech.evaluation.results import Scoring, score_folder
from madg_speech.evaluation.run import import_hypotheses
from madg_speech.evaluation.spelling import is_word
from madg_speech.evaluation.tables import remarks

TEXTS = {
    "deu": ["Guten Morgen!", "Haus", "Wo ist die Küche?"],
    "nld": ["Goedemorgen allemaal", "huis", ""],
    "fin": ["Hyvää huomenta", "talo", "Missä keittiö on?"],
}


def utterances() -> list[Utterance]:
    return [
        Utterance(f"{lang}-{i}", Path(f"/{lang}{i}.wav"), text, lang, 1.0)
        for lang, texts in TEXTS.items()
        for i, text in enumerate(texts)
    ]


def folder_with(tmp_path: Path, **systems: list[dict[str, str]]) -> Path:
    references = by_language(utterances())
    write_references(tmp_path / "out", references)
    for name, rows in systems.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        import_hypotheses(file, references, tmp_path / "out" / "hypotheses")
    return tmp_path / "out"


def said(change=lambda text: text) -> list[dict[str, str]]:
    return [{"id": u.id, "text": change(u.text), "lang": u.lang} for u in utterances()]


def test_scores_agree_with_jiwer_and_pool_within_a_language(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, theirs=said(lambda text: text.replace("e", "")))
    results = score_folder(folder, Scoring(samples=50))
    scores = results["scores"]["native"]["theirs"]
    references = ["guten morgen", "haus", "wo ist die küche"]
    hypotheses = [text.replace("e", "") for text in references]
    assert scores["deu"]["all"]["cer"]["rate"] == jiwer.cer(references, hypotheses)
    assert scores["deu"]["all"]["wer"]["rate"] == jiwer.wer(references, hypotheses)
    each = [jiwer.cer(r, h) for r, h in zip(references, hypotheses, strict=True)]
    assert scores["deu"]["all"]["cer"]["utterance_mean"] == pytest.approx(sum(each) / 3)
    group = results["groups"]["native"]["theirs"]["all"]["all"]
    rates = [scores[lang]["all"]["cer"]["rate"] for lang in ("deu", "nld", "fin")]
    assert group["cer"]["macro"] == pytest.approx(sum(rates) / 3)
    assert group["cer"]["worst"][0][1] == max(rates)
    assert (group["clades"], group["utterances"]) == (2, 8)


def test_romanised_scoring_forgives_the_script_alone(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, theirs=said(lambda text: text.replace("ü", "ue")))
    results = score_folder(folder, Scoring(samples=0))
    assert results["scores"]["native"]["theirs"]["deu"]["all"]["cer"]["rate"] > 0
    assert results["scores"]["romanized"]["theirs"]["deu"]["all"]["cer"]["rate"] == 0


def test_words_and_sentences_apart(tmp_path: Path) -> None:
    wrong_words = folder_with(tmp_path, theirs=said(lambda t: t if " " in t else "xxxx"))
    scores = score_folder(wrong_words, Scoring(samples=0))["scores"]["native"]["theirs"]["deu"]
    assert (scores["words"]["utterances"], scores["sentences"]["utterances"]) == (1, 2)
    assert scores["words"]["cer"]["rate"] == 1 and scores["sentences"]["cer"]["rate"] == 0
    assert is_word("ประเทศไทย", "deu") and not is_word("ประเทศไทย", "tha")


def test_the_leak_filter_is_shown_beside(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, theirs=said(lambda text: text if text != "Haus" else "x"))
    references = by_language(utterances())
    train = [Utterance("t", Path("/t.wav"), "Hauss", "nld", 1.0)]
    write_leaks(folder, references, train)
    results = score_folder(folder, Scoring(samples=0))
    assert results["leak_filter"]["per_language"] == {"deu": 1, "fin": 0, "nld": 0}
    scores = results["scores"]["native"]["theirs"]["deu"]
    assert scores["all"]["cer"]["rate"] > 0 and scores["unleaked"]["cer"]["rate"] == 0
    assert any("leak filter: 1 utterances" in line for line in remarks(results))


def test_bad_hypotheses_are_named_and_counted(tmp_path: Path) -> None:
    rows = said()
    rows[3]["lang"] = "deu"
    rows += [dict(rows[0]), {"id": "stranger", "text": "x"}]
    del rows[1]
    results = score_folder(folder_with(tmp_path, theirs=rows), Scoring(samples=0))
    assert results["systems"]["theirs"]["problems"] == {
        "missing": ["deu-1"],
        "other_language": ["nld-0"],
        "extra": ["stranger"],
        "repeated": ["deu-0"],
    }
    assert results["problems"]["empty_references"]["romanized"] == {"nld": ["nld-2"]}
    # What is missing was not dropped: its four letters count as deleted.
    assert results["scores"]["native"]["theirs"]["deu"]["all"]["cer"]["deletions"] == 4
    lines = "\n".join(remarks(results))
    for name in ("deu-1", "nld-0", "stranger", "deu-0", "nld-2"):
        assert name in lines


def test_contradictory_and_foreign_hypotheses_are_errors(tmp_path: Path) -> None:
    twice = [{"id": "deu-0", "text": "a"}, {"id": "deu-0", "text": "b"}]
    with pytest.raises(DataError, match=r"two different texts.*'deu-0' in lines 1 and 2"):
        folder_with(tmp_path, theirs=twice)
    with pytest.raises(DataError, match="none of its 1 ids"):
        folder_with(tmp_path, theirs=[{"id": "x", "text": "a"}])
    (tmp_path / "h.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match=r"h.jsonl:1"):
        read_hypotheses(tmp_path / "h.jsonl")


def test_ids_in_two_manifests_and_languages_that_are_not_there() -> None:
    with pytest.raises(DataError, match="more than one manifest, first 'deu-0'"):
        by_language(utterances() * 2)
    with pytest.raises(DataError, match=r"yor; the manifests hold deu, fin, nld"):
        by_language(utterances(), ["de", "yor"])
    assert list(by_language(utterances(), ["nl", "deu"])) == ["deu", "nld"]


def test_two_systems_are_compared_in_pairs_without_the_dev_languages(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, good=said(), bad=said(lambda text: text.replace("o", "")))
    results = score_folder(folder, Scoring(samples=50, dev_languages=("fi",)))
    rows = {row["group"]: row for row in results["comparisons"]["native"]}
    assert (rows["all"]["a"], rows["all"]["b"]) == ("good", "bad")
    assert rows["all"]["cer"]["languages"] == 2 and rows["all"]["cer"]["mean"] < 0


def test_nothing_to_score(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no evaluation folder"):
        score_folder(tmp_path, Scoring())
    write_references(tmp_path, by_language(utterances()))
    with pytest.raises(DataError, match="no finished hypotheses"):
        score_folder(tmp_path, Scoring())
