"""The report: nothing from outside, the same tables twice, nothing quoted that must not be."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from madg_speech.cli.report import app
from madg_speech.data.manifest import Utterance
from madg_speech.errors import ConfigError, DataError
from madg_speech.evaluation.decode import DESCRIPTION
from madg_speech.evaluation.folder import by_language, write_leaks, write_references
from madg_speech.evaluation.report.about import command, shorten
from madg_speech.evaluation.report.content import collect
from madg_speech.evaluation.report.parts import read_parts
from madg_speech.evaluation.report.worst import worst_utterances
from madg_speech.evaluation.report.write import write_report
from madg_speech.evaluation.results import Scoring, score_folder
from madg_speech.evaluation.run import import_hypotheses

TEXTS = {
    "deu": ["guten morgen", "wo ist die kueche", "<b>haus</b> & hof"],
    "nld": ["goedemorgen allemaal", "het huis"],
    "fin": ["huomenta", "talo on punainen"],
    "swh": ["habari ya asubuhi", "nyumba kubwa"],
}
TRAINED = ["deu", "swh", "eng"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems, the first worse in Finnish; German audio at hand, Dutch under a CC BY-NC licence."""
    root = tmp_path_factory.mktemp("evaluation")
    rows = []
    for lang, texts in TEXTS.items():
        for i, text in enumerate(texts):
            audio = root / f"{lang}{i}.wav"
            if lang == "deu":
                audio.write_bytes(b"RIFF")
            license = {"nld": "CC-BY-NC-4.0", "fin": None}.get(lang, "CC0-1.0")
            rows.append(Utterance(f"{lang}-{i}", audio, text, lang, 1.0, license=license))
    references = by_language(rows)
    out = root / "study"
    write_references(out, references)
    write_leaks(out, references, [Utterance("t", root / "t.wav", "talo", "fin", 1.0)])
    for name, change in (("ours", lambda t: t.replace("o", "")), ("theirs", lambda t: t[::-1])):
        said = [{"id": u.id, "text": change(u.text)} for u in rows]
        file = root / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in said))
        import_hypotheses(file, references, out / "hypotheses")
        described = out / "hypotheses" / name / DESCRIPTION
        about = json.loads(described.read_text()) | {"trained": TRAINED, "backbone": "whisper"}
        described.write_text(json.dumps(about | {"script": "romanized"}))
    score_folder(out, Scoring(samples=20), ["/usr/bin/madg-speech", "evaluate"])
    return out


class Page(HTMLParser):
    """Tables as lists of rows of texts, and all that a browser would fetch."""

    def __init__(self, html: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        self.fetched += [v for k, v in attributes if k in ("src", "href") and v and v[0] != "#"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_one_page_without_network_and_markdown_with_the_same_tables(
    folder: Path, tmp_path: Path
) -> None:
    paths = write_report([folder], tmp_path / "report", title="A & B")
    assert [path.name for path in paths] == ["index.html", "report.md"]
    html, markdown = (path.read_text() for path in paths)
    page = Page(html)
    assert not page.open, "a tag was not closed"
    assert "A &amp; B" in html and "<b>haus" not in html
    assert all(source == "data:," or source.endswith(".wav") for source in page.fetched)
    assert not re.search(r"url\(|@import|https?://", html)

    def numbers(text: str) -> list[str]:
        return re.findall(r"\d+(?:\.\d+)?", text)

    ours = [numbers(" ".join(row)) for row in page.rows]
    theirs = [numbers(line) for line in markdown.splitlines() if line.startswith("| ")]
    # Markdown has one more table: quotations, which the page sets as a list.
    assert all(row in theirs for row in ours)
    assert len(theirs) - len(ours) == 1 + len(collect(*read_parts([folder])).misses)


def test_scores_stand_where_they_belong(folder: Path) -> None:
    (part,) = read_parts([folder / "results.json"])
    content = collect(part)
    sheet = content.scores["romanized", "CER"]
    names = [column.name for column in sheet.columns]
    row = next(row for row in sheet.rows if row[0].small == "fin")
    rate = part.results["scores"]["romanized"]["ours"]["fin"]["all"]["cer"]["rate"]
    assert row[names.index("ours")].sort == rate and row[names.index("ours")].best
    assert row[names.index("group")].text == "unrelated to training"
    assert row[names.index("backbone knows it")].text == "yes"
    # What was never trained on comes first.
    assert {row[0].small for row in sheet.rows[-2:]} == {"deu", "swh"}
    assert (content.system, content.baseline) == ("ours", "theirs")
    assert list(content.gains) == ["ours"] and "fin" in content.gains["ours"]
    minus = content.comparisons[0].rows[0]
    turned = content.comparisons[1].rows[0]
    assert minus[4].sort == -turned[4].sort and (minus[0].text, turned[0].text) == (
        "theirs",
        "ours",
    )


def test_the_map_tells_trained_languages_by_shape(folder: Path) -> None:
    (part,) = read_parts([folder])
    drawing = collect(part).map
    shapes = dict(re.findall(r"\((\w{3})\)\n[^<]*</title><(rect|circle)", drawing))
    assert shapes == {"deu": "rect", "swh": "rect", "fin": "circle", "nld": "circle"}
    assert "English: trained on, not scored" in drawing


def test_quotations_are_few_licensed_and_commercial(folder: Path) -> None:
    (part,) = read_parts([folder])
    misses, withheld = worst_utterances(part, "ours", 20)
    assert withheld == 2 and {m.utterance.lang for m in misses} == {"deu", "fin", "swh"}
    assert [m.rate for m in misses] == sorted((m.rate for m in misses), reverse=True)
    per_language = [m.utterance.lang for m in misses]
    assert max(map(per_language.count, per_language)) == 2
    allowed, none_withheld = worst_utterances(part, "ours", 3, non_commercial=True)
    assert len(allowed) == 3 and none_withheld == 0
    assert worst_utterances(part, "ours", 0) == ([], 0)


@pytest.mark.parametrize("audio", ["link", "embed", "none"])
def test_audio(folder: Path, audio: str) -> None:
    target = folder.parent / "report"
    write_report([folder], target, audio=audio)  # type: ignore[arg-type]
    sources = re.findall(r'<audio [^>]*src="([^"]*)"', (target / "index.html").read_text())
    # Only German recordings are there; a language has at most two quotations.
    assert len(sources) == (0 if audio == "none" else 2)
    for source in sources:
        if audio == "link":
            assert (target / source).is_file()
        else:
            assert source.startswith("data:audio/")


def test_results_alone_make_a_report_without_quotations(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "results.json", tmp_path / "first.json")
    shutil.copy(folder / "results.json", tmp_path / "second.json")
    given = [tmp_path / "first.json", tmp_path / "second.json", folder, "-o", tmp_path / "r"]
    done = CliRunner().invoke(app, [str(argument) for argument in given])
    assert done.exit_code == 0, done.output
    html = (tmp_path / "r" / "index.html").read_text()
    assert re.findall(r"<h2[^>]*>(\w+)", html) == ["first", "second", "study"]
    assert html.count('<ol class="misses">') == 1


def test_a_system_alone_and_a_language_that_nobody_lists(tmp_path: Path) -> None:
    rows = [Utterance("a", tmp_path / "a.wav", "blorp", "qaa", 1.0)]
    references = by_language(rows)
    write_references(tmp_path / "out", references)
    (tmp_path / "only.jsonl").write_text('{"id": "a", "text": "blarp"}\n')
    import_hypotheses(tmp_path / "only.jsonl", references, tmp_path / "out" / "hypotheses")
    score_folder(tmp_path / "out", Scoring(samples=0))
    write_report([tmp_path / "out"], tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text()
    assert 'class="map"' not in html and 'class="gain"' not in html and "20.0" in html


def test_what_cannot_be_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results at"):
        read_parts([tmp_path])
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_parts([tmp_path])
    (tmp_path / "results.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match=r"format 99, expected 1: .*--rescore"):
        read_parts([tmp_path])
    with pytest.raises(ConfigError, match="no system 'nobody'; it has ours, theirs"):
        collect(*read_parts([folder]), baseline="nobody")
    refused = CliRunner().invoke(app, [str(folder), "-o", str(tmp_path), "--audio", "loud"])
    assert isinstance(refused.exception, ConfigError)


def test_paths_of_this_machine_are_shortened() -> None:
    assert shorten("/home/me/runs/a/checkpoint") == "…/a/checkpoint"
    assert shorten("openai/whisper-base") == "openai/whisper-base"
    line = ["/opt/bin/madg-speech", "evaluate", "--fresh"]
    line += [word for i in range(5) for word in ("--manifest", f"/data/set/{i}.jsonl")]
    said = command([*line, "-o", "out"])
    assert said.startswith("madg-speech evaluate --fresh --manifest …/set/0.jsonl")
    assert said.endswith("--manifest …/set/2.jsonl -o out (--manifest 2 more)")


def test_phones_have_a_phone_error_rate(folder: Path, tmp_path: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    for key in ("scores", "groups", "comparisons"):
        results[key] = {"phones": results[key]["romanized"]}
    (tmp_path / "results.json").write_text(json.dumps(results))
    _, markdown = write_report([tmp_path / "results.json"], tmp_path / "report")
    text = markdown.read_text()
    assert "PER % per language (phones" in text and "CER" not in text
