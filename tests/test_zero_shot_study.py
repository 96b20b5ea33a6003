"""The study's runner on a tiny Whisper: folds without a common clade or text, cells, and the page."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from madg_speech.config import PretrainConfig, load_config
from madg_speech.data.manifest import read_manifest
from madg_speech.splits import clade_of
from tests import speech

RECIPE = Path(__file__).parent.parent / "recipes" / "zero_shot_study"
ROOT = RECIPE.parent.parent


@pytest.mark.parametrize("path", sorted((RECIPE / "arms").glob("*.yaml")), ids=lambda p: p.stem)
def test_arms_are_valid_configurations(path: Path) -> None:
    load_config(path, PretrainConfig, {"output": "run"})


def test_cells_name_arms_that_exist_and_start_from_ones_of_the_plan() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    arms = {path.stem for path in (RECIPE / "arms").glob("*.yaml")}
    asked = {arm for cells in plan["passes"].values() for cell in cells for arm in cell["arms"]}
    assert asked | set(plan["starts"].values()) <= arms


def test_folds_share_no_clade_with_each_other_or_with_dev() -> None:
    plan = yaml.safe_load((RECIPE / "plan.yaml").read_text())
    named = [code for codes in plan["folds"].values() for code in codes] + plan["dev_clades"]
    assert len({clade_of(code) for code in named}) == len(named)


@pytest.fixture
def study(tmp_path: Path, tiny_whisper: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipe with a tiny plan, and data to run it on."""
    words = {
        "swh": ["cecede", "gegiga", "baba", "fufafo"],  # baba: also in training
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
    plan |= {"dev_clades": ["deu"], "folds": {"a": ["swh"]}}
    plan["passes"] = {"tiny": [{"arms": ["two-stage", "static-long", "shuffled"]}]}
    (copy / "plan.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path


def run(study: Path, *command: str) -> str:
    place = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, *command], cwd=study, env=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pass_makes_its_cells_once_and_a_page(study: Path) -> None:
    cells = (
        "recipes/study/run.py",
        "tiny",
        "--data",
        "data",
        "--espeak",
        "espeak",
        "--work",
        "work",
    )
    run(study, *cells, "--device", "cpu")
    trained = read_manifest(study / "work/a/train.jsonl")
    assert {u.lang for u in trained} == {"tur", "hin"}
    tested = read_manifest(study / "work/a/test.jsonl")
    assert [u.text for u in tested] == ["cecede", "gegiga", "fufafo"]

    results = study / "recipes/study/results"
    arms = ("static", "static-long", "two-stage", "shuffled")
    assert {p.stem for p in results.glob("*")} == {f"a-0-{arm}" for arm in arms}
    counts = json.loads((results / "a-0-two-stage.json").read_text())["errors"]["test"]
    assert set(counts) >= {"own", "mean", "none", "nearest", "scaled-0.5"}
    assert all(len(row) == 3 for row in counts["own"]["swh"])

    before = {p: p.stat().st_mtime_ns for p in results.glob("*")}
    run(study, *cells, "--device", "cpu")
    assert before == {p: p.stat().st_mtime_ns for p in results.glob("*")}

    run(study, "recipes/study/tables.py")
    page = (study / "docs/zero-shot-study.md").read_text()
    rate = sum(counts["own"]["swh"][0]) / 18
    assert f"| {rate:.3f}" in page and "static, trained on as long" in page
