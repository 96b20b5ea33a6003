"""The study's runner on a tiny Whisper: folds without a common clade or text, cells, and the page."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.manifest import read_manifest
from madg_speech.splits import clade_of
from tests import speech

RECIPE = Path(__file__).parent.parent / "recipes" / "zero_shot_study"
ROOT = RECIPE.parent.parent
PLACES = ("--data", "data", "--work", "work", "--device", "cpu")


@pytest.mark.parametrize("path", sorted((RECIPE / "arms").glob("*.yaml")), ids=lambda p: p.stem)
def test_arms_are_valid_configurations(path: Path) -> None:
    load_config(path, PretrainConfig, {"output": "run"})


def test_cells_name_arms_that_exist_and_start_from_ones_of_the_plan() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    arms = {path.stem for path in (RECIPE / "arms").glob("*.yaml")}
    asked = {arm for cells in plan["passes"].values() for cell in cells for arm in cell["arms"]}
    assert asked | plan["starts"].keys() | set(plan["starts"].values()) <= arms
    assert plan["hears"].keys() <= arms
    refined = {how["cell"] for how in plan["few_shot"]["starts"].values()}
    first = {arm for cells in plan["passes"]["first"] for arm in cells["arms"]}
    assert refined <= first


def test_a_second_stage_hears_what_its_first_one_heard() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    for arm, start in plan["starts"].items():
        assert plan["hears"].get(arm) == plan["hears"].get(start), arm


def test_the_search_does_not_look_at_test_languages() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    (search,), (tested,) = plan["passes"]["search"], plan["passes"]["search-tested"]
    assert search["sets"] == ["dev", "seen"] and tested["arms"] == search["arms"]


def test_folds_share_no_clade_with_each_other_or_with_dev() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    named = [code for codes in plan["folds"].values() for code in codes] + plan["dev_clades"]
    assert len({clade_of(code) for code in named}) == len(named)


@pytest.fixture
def study(tmp_path: Path, tiny_whisper: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipe with a tiny plan, and data to run it on."""
    words = {
        # baba: also in training; the last ones are left for few-shot
        "swh": ["cecede", "gegiga", "baba", "fufafo", "cifugo", "degofi", "ihabedu", "ohugice"],
        "deu": ["hohahe", "bibobu", "dudodi", "gofogo"],
        "tur": ["abacadae", "kekokuke", "baba", "lalalolo"],
        "hin": ["ihigifie", "uhugufue", "momamoma", "nananono"],
    }
    for language, texts in words.items():
        monkeypatch.setitem(speech.WORDS, language, texts)
        speech.write_corpus(tmp_path / "data/speech" / language, (language,), copies=1)
        manifest = tmp_path / "data/speech" / language / "m.jsonl"
        manifest.rename(manifest.with_name("train.jsonl"))
    seen = tmp_path / "data/speech/hin"
    (seen / "test.jsonl").write_text(
        (seen / "train.jsonl").read_text().replace('"id": "hin-', '"id": "test-')
    )
    speech.write_corpus(tmp_path / "espeak", ("yor",), copies=1)  # of swh's clade: never trained on
    (tmp_path / "espeak/m.jsonl").rename(tmp_path / "espeak/train.jsonl")
    shutil.copytree(
        RECIPE, tmp_path / "recipes/study", ignore=shutil.ignore_patterns("results", "folds")
    )
    (tmp_path / "docs").mkdir()
    copy = tmp_path / "recipes/study"
    base = yaml.safe_load((copy / "base.yaml").read_text())
    base["backbone"]["name"] = str(tiny_whisper)
    base["source"] = {"layers": [2, 3], "bottleneck": 4}
    base["training"] |= {"steps": 2, "seconds_per_batch": 4, "eval_every": 1, "warmup_steps": 0}
    (copy / "base.yaml").write_text(yaml.safe_dump(base))
    (copy / "second_stage.yaml").write_text("inherit: base.yaml\n")
    plan = yaml.safe_load((copy / "plan.yaml").read_text())
    plan |= {"dev_clades": ["deu"], "folds": {"a": ["swh"]}, "test_per_language": 3}
    plan["passes"] = {
        "tiny": [{"arms": ["two-stage", "static-long", "shuffled"]}],
        "baselines": [{"arms": ["per-language", "language-id", "madg-ls"]}],
        "search": [{"folds": ["a"], "arms": ["two-stage-random-25"], "sets": ["dev", "seen"]}],
        "search-tested": [
            {"folds": ["a"], "arms": ["two-stage-random-25"], "swaps": ["own", "mean"]}
        ],
        "chosen": [{"arms": ["two-stage-random-25"]}],
    }
    plan["hears"] = {arm: {"random": 1} for arm in ("static-random-25", "two-stage-random-25")}
    plan["few_shot"] |= {"languages": {"a": "swh"}, "steps": {0.05: 1}}
    (copy / "plan.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path


def run(study: Path, script: str, *arguments: str) -> None:
    """The script of the copied recipe, in this process: importing torch anew takes longer than it runs."""
    recipe = study / "recipes/study"
    names = {path.stem for path in recipe.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        patch.syspath_prepend(str(recipe))
        patch.setattr(sys, "argv", [script, *arguments])
        for name in names & sys.modules.keys():
            patch.delitem(sys.modules, name)
        try:
            importlib.import_module(script).main()
        finally:
            for name in names & sys.modules.keys():
                del sys.modules[name]


def run_pass(study: Path, name: str) -> None:
    run(study, "run", name, *PLACES, "--espeak", "espeak")


def read_result(study: Path, cell: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (study / f"recipes/study/results/{cell}.json").read_text("utf-8")
    )
    return found


def test_a_pass_makes_its_cells_once_and_a_page(study: Path) -> None:
    run_pass(study, "tiny")
    trained = read_manifest(study / "work/a/train.jsonl")
    assert {u.lang for u in trained} == {"tur", "hin"}
    tested = read_manifest(study / "work/a/test.jsonl")
    assert [u.text for u in tested] == ["cecede", "gegiga", "fufafo"]

    results = study / "recipes/study/results"
    arms = ("static", "static-long", "two-stage", "shuffled")
    assert {p.stem for p in results.glob("*")} == {f"a-0-{arm}" for arm in arms}
    counts = read_result(study, "a-0-two-stage")["errors"]["test"]
    assert set(counts) >= {"own", "mean", "none", "nearest", "scaled-0.5", "other-family"}
    assert all(len(row) == 3 for row in counts["own"]["swh"])

    before = {p: p.stat().st_mtime_ns for p in results.glob("*")}
    run_pass(study, "tiny")
    assert before == {p: p.stat().st_mtime_ns for p in results.glob("*")}

    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "recipes/study/tables.py"]
    subprocess.run(command, cwd=study, env=environment, check=True)
    page = (study / "docs/zero-shot-study.md").read_text()
    rate = sum(counts["own"]["swh"][0]) / 18
    assert f"| {rate:.3f}" in page and "static, trained on as long" in page
    pictures = re.findall(r"\(zero-shot-study/(.*?)\)", page)
    assert sorted(pictures) == ["arms.svg", "gain-distance.svg", "gain-observed.svg"]
    for name in pictures:
        assert (
            ElementTree.parse(study / "docs/zero-shot-study" / name).getroot().tag.endswith("svg")
        )


def test_baselines_search_and_few_shot_have_their_place_on_the_page(study: Path) -> None:
    for name in ("tiny", "baselines", "search"):
        run_pass(study, name)
    rows = read_result(study, "a-0-per-language")["errors"]["test"]
    assert set(rows) == {"own", "none", "nearest", "clade-mean", "weighted"}
    assert set(read_result(study, "a-0-language-id")["errors"]["test"]) == set(rows)
    assert "mean" in read_result(study, "a-0-madg-ls")["errors"]["test"]

    heard = [u.lang for u in read_manifest(study / "work/a/train-random-1-0.jsonl")]
    assert len(set(heard)) == 1
    searched = read_result(study, "a-0-two-stage-random-25")
    assert set(searched["errors"]) == {"dev", "seen"}
    run_pass(study, "search-tested")
    tested = read_result(study, "a-0-two-stage-random-25")
    assert set(tested["errors"]) == {"dev", "seen", "test"}
    assert {k: tested["errors"][k] for k in ("dev", "seen")} == searched["errors"]
    assert set(tested["errors"]["test"]) == {"own"}  # not none, and one language has no mean vector

    run(study, "few_shot", *PLACES)
    minutes = read_manifest(study / "work/few_shot/a-swh-0.05.jsonl")
    assert {u.text for u in minutes} <= {"cifugo", "degofi", "ihabedu", "ohugice"}
    assert sum(u.seconds for u in minutes) >= 3
    cells = {f"a-0-swh-0.05-{start}" for start in ("generated", "static", "random", "lambda")}
    assert {p.stem for p in (study / "recipes/study/results/few_shot").glob("*")} == cells

    run(study, "tables")
    page = (study / "docs/zero-shot-study.md").read_text()
    for words in ("Unseen: weighted (TIPA).", "`two-stage-random-25`", "| lambda | 0.05 |"):
        assert words in page
    assert "| `two-stage-random-25` | static, trained on as long | a0 |" in page
    for line in ("| `madg-ls` | a0", "| `per-language`, weighted (TIPA) | a0"):
        assert line in page.partition("## Knowing the language")[2]
    assert (study / "docs/zero-shot-study/few-shot.svg").is_file()


def test_parts_of_the_training_data(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPE))
    folds = importlib.import_module("folds")
    speech.write_corpus(study / "fold", ("tur", "hin", "yor"), copies=1)
    lines = (study / "fold/m.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["source"] = "espeak-ng 1.52" if row["lang"] == "yor" else "people"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (study / "fold/train.jsonl").write_text(text)

    def languages(rule: dict[str, object], seed: int = 0) -> set[str]:
        name = folds.write_part(study / "fold", rule, seed)
        return {u.lang for u in read_manifest(study / "fold" / name)}

    assert languages({"recorded": True}) == {"tur", "hin"}
    assert languages({"languages": ["hin"]}) == {"hin"}
    assert len(languages({"diverse": 2})) == 2
    assert len({frozenset(languages({"random": 2}, seed)) for seed in range(8)}) > 1
    with pytest.raises(SystemExit, match="nothing that"):
        languages({"languages": ["eng"]})
