"""Folds put together: a language stands to the training of its own fold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from madg_speech.cli.evaluate import app
from madg_speech.data.manifest import Utterance
from madg_speech.errors import DataError
from madg_speech.evaluation.decode import DESCRIPTION
from madg_speech.evaluation.folder import write_references
from madg_speech.evaluation.hypotheses import Hypothesis, write_hypotheses
from madg_speech.evaluation.pool import pool_folds
from madg_speech.evaluation.report.parts import read_parts
from madg_speech.evaluation.report.write import write_report


def fold(folder: Path, language: str, trained: list[str], adapters: tuple[str, ...]) -> Path:
    rows = [
        Utterance(f"{language}-{i}", folder / "a.wav", "eins zwei", language, 1.0) for i in range(2)
    ]
    write_references(folder, {language: rows})
    for adapter in adapters:
        system = folder / "hypotheses" / f"{folder.name}.{adapter}"
        text = "eins zwei" if adapter == "generated" else "eins"
        write_hypotheses(system / f"{language}.jsonl", [Hypothesis(u.id, text) for u in rows])
        about = {
            "kind": "checkpoint", "source": "madg", "adapter_from": adapter, "script": "romanized",
            "backbone": "openai/whisper-base", "trained": trained, "sha256": folder.name * 9,
            "checkpoint": f"/runs/{folder.name}/checkpoint", "decoding": "greedy CTC",
        }  # fmt: skip
        (system / DESCRIPTION).write_text(json.dumps(about))
    return folder


def test_each_language_has_the_standing_of_its_fold(tmp_path: Path) -> None:
    both = ("generated", "none")
    a = fold(tmp_path / "a", "deu", ["fin", "swh"], both)
    b = fold(tmp_path / "b", "fin", ["deu", "swh", "yor"], both)
    arguments = ["--pool", a, "--pool", b, "-o", tmp_path / "all", "--bootstrap", 20]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    (part,) = read_parts([tmp_path / "all"])
    assert sorted(part.systems) == ["madg.generated", "madg.none"]
    groups = part.results["groups"]["romanized"]["madg.generated"]
    # German was trained on, but not by the checkpoint that transcribed it.
    assert groups["unrelated"]["all"]["languages"] == ["deu", "fin"] and "trained" not in groups
    described = part.results["systems"]["madg.generated"]
    assert described["nearest_trained"]["deu"][0] == "fin" and described["in_training"] == []
    assert part.trained() == ("deu", "fin", "swh", "yor")
    (compared,) = [
        row
        for row in part.results["comparisons"]["romanized"]
        if (row["group"], row["subset"]) == ("all", "all")
    ]
    assert compared["cer"]["languages"] == 2
    html = write_report([tmp_path / "all"], tmp_path / "report")[0].read_text()
    assert "2–3" in html and "…/a/checkpoint, …/b/checkpoint" in html


def test_folds_that_do_not_fit(tmp_path: Path) -> None:
    a = fold(tmp_path / "a", "deu", ["fin"], ("generated",))
    again = fold(tmp_path / "b", "deu", ["fin"], ("generated",))
    with pytest.raises(DataError, match=r"deu stands in .*a and in .*b"):
        pool_folds([a, again], tmp_path / "all")
    other = fold(tmp_path / "c", "fin", ["deu"], ("none",))
    with pytest.raises(DataError, match=r"differ in systems: madg\.generated, madg\.none"):
        pool_folds([a, other], tmp_path / "all")
