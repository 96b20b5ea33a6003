"""Recipes of single corpora: all of them parse, and call what exists."""

import re
import subprocess
from pathlib import Path

import pytest

from madg_speech.cli import VERBS
from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.data_prep.corpora import CORPORA

RECIPES = Path(__file__).parent.parent / "recipes"
FOLDERS = sorted(
    script.parent for script in RECIPES.glob("*/run.sh") if script.parent.name in CORPORA
)


def test_every_corpus_with_a_name_has_a_recipe():
    assert {folder.name for folder in FOLDERS} == CORPORA.keys() - {"kaldi", "huggingface"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_a_recipe_is_whole(folder):
    first = load_config(folder / "config.yaml", PretrainConfig)
    second = load_config(folder / "two_stage.yaml", PretrainConfig)
    assert second.source.kind == "two-stage" and second.init_from == f"{first.output}/checkpoint"
    # What was not trained on in stage one must not be in stage two, or nothing is zero-shot.
    assert second.data == first.data
    assert f'../corpus.sh" {folder.name} ' in (folder / "run.sh").read_text()
    assert "not run here" in (folder / "README.md").read_text()


def test_the_script_calls_existing_verbs_with_existing_options(tmp_path):
    """Run with a stand-in for madg-speech that records how it is called."""
    log = tmp_path / "log"
    fake = tmp_path / "bin/madg-speech"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    fake.chmod(0o755)
    (tmp_path / "corpus").mkdir()
    command = [str(RECIPES / "fleurs/run.sh"), str(tmp_path / "corpus"), "w", "--langs", "swh"]
    path = f"{fake.parent}:/usr/bin:/bin"
    subprocess.run(command, cwd=tmp_path, env={"PATH": path}, check=True)
    calls = [line.split() for line in log.read_text().splitlines()]
    assert [call[0] for call in calls] == ["prepare", "pretrain", "pretrain", "evaluate"]
    assert calls[0][1:3] == ["fleurs", str(tmp_path / "corpus")] and calls[0][-2:] == [
        "--langs",
        "swh",
    ]
    configs = [Path(call[call.index("--config") + 1]) for call in calls[1:3]]
    assert [path.name for path in configs] == ["config.yaml", "two_stage.yaml"]
    assert all(path.is_file() for path in configs)
    for verb, *words in calls:
        assert verb in VERBS
        source = (RECIPES.parent / f"madg_speech/cli/{verb}.py").read_text()
        for option in filter(lambda word: re.match(r"--\w", word), words):
            name = option[2:].replace("-", "_")
            assert f'"{option}"' in source or re.search(rf"\b{name}:", source), (verb, option)
