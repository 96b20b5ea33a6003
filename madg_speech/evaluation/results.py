"""An evaluation folder -> results.json: scores, groups, comparisons, problems, versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance
from madg_speech.errors import DataError
from madg_speech.evaluation.compare import choose_mode, compare_all
from madg_speech.evaluation.describe import describe_language, describe_leaks, describe_system
from madg_speech.evaluation.folder import HYPOTHESES, RESULTS, read_leaks, read_references
from madg_speech.evaluation.groups import Standing, summarise_groups
from madg_speech.evaluation.outputs import SystemOutput, find_standings, read_outputs
from madg_speech.evaluation.score import LanguageScores, score_language
from madg_speech.evaluation.spelling import RATES, References, Spelling, spell_references
from madg_speech.evaluation.systems import Script
from madg_speech.splits import canonical
from madg_speech.text.normalize import NORMALIZERS

FORMAT = 1
# What can be scored in a script: native text can be romanised; phones are neither.
SPELLABLE = {
    "romanized": ("romanized", "native"),
    "native": ("native",),
    "phones": ("phones",),
}
PACKAGES = (
    "madg-speech",
    "jiwer",
    "uroman",
    "torch",
    "transformers",
    "lang2vec",
    "urielplus",
    "numpy",
)


@dataclass(frozen=True)
class Scoring:
    """How hypotheses are scored.

    Attributes:
        normalizer: a name of ``NORMALIZERS``.
        samples: bootstrap samples; 0 for no intervals.
        dev_languages: what a baseline's mode is chosen on; left out of comparisons.
    """

    normalizer: str = "default"
    samples: int = 1000
    dev_languages: tuple[str, ...] = ()


def score_folder(folder: Path, scoring: Scoring, command: Sequence[str] = ()) -> dict[str, Any]:
    """Score all hypotheses in a folder, write ``results.json`` and return what it holds.

    Raises:
        DataError: the folder is no evaluation folder, or there is nothing to score.
    """
    references = read_references(folder)
    outputs = read_outputs(folder / HYPOTHESES, references)
    if not outputs:
        raise DataError(f"{folder / HYPOTHESES} holds no finished hypotheses")
    leaks = read_leaks(folder)
    results = {
        "format": FORMAT,
        "made_by": _made_by(command),
        "settings": _settings(scoring),
        "problems": {"empty_references": {}},
        "leak_filter": describe_leaks(leaks, references),
        "languages": {name: describe_language(name, rows) for name, rows in references.items()},
        "systems": {name: describe_system(output, references) for name, output in outputs.items()},
        "scores": {},
        "groups": {},
        "chosen": {},
        "comparisons": {},
    }
    standings = find_standings(outputs, references)
    scripts: tuple[Script, ...] = ("romanized", "native", "phones")
    for script in scripts:
        inside = {
            name: output
            for name, output in outputs.items()
            if output.description["script"] in SPELLABLE[script]
        }
        if inside:
            spelling = Spelling(script, NORMALIZERS[scoring.normalizer])
            _score_script(results, spelling, inside, references, leaks, standings, scoring)
    with atomic_path(folder / RESULTS) as draft:
        text = json.dumps(results, ensure_ascii=False, indent=1)
        draft.write_text(text + "\n", encoding="utf-8")
    return results


def _score_script(
    results: dict[str, Any],
    spelling: Spelling,
    outputs: Mapping[str, SystemOutput],
    references: Mapping[str, Sequence[Utterance]],
    leaks: dict[str, Any] | None,
    standings: Mapping[str, Mapping[str, Standing]],
    scoring: Scoring,
) -> None:
    """Fill the parts of ``results`` that belong to one spelling."""
    script = spelling.script
    leaked = None if leaks is None else frozenset(leaks["leaks"])
    spelt = {
        name: spell_references(name, rows, spelling, leaked) for name, rows in references.items()
    }
    results["problems"]["empty_references"][script] = {
        name: list(reference.empty) for name, reference in spelt.items() if reference.empty
    }
    scores = {
        name: _score_system(output, spelt, spelling, scoring.samples)
        for name, output in outputs.items()
    }
    dev = {canonical(code) for code in scoring.dev_languages}
    results["scores"][script] = {
        system: {
            language: {subset: score.summary(subset) for subset in score.subsets}
            for language, score in of_system.items()
        }
        for system, of_system in scores.items()
    }
    results["groups"][script] = {
        system: summarise_groups(of_system, standings[system])
        for system, of_system in scores.items()
    }
    if script == "romanized":
        modes: dict[str, list[str]] = {}
        for name, output in outputs.items():
            if "mode" in output.description:
                modes.setdefault(output.description["kind"], []).append(name)
        results["chosen"] = {
            kind: chosen
            for kind, names in modes.items()
            if (chosen := choose_mode(names, scores, dev)) is not None
        }
    results["comparisons"][script] = compare_all(scores, next(iter(standings.values())), dev)


def _score_system(
    output: SystemOutput, spelt: Mapping[str, References], spelling: Spelling, samples: int
) -> dict[str, LanguageScores]:
    return {
        language: score_language(spelt[language], said, spelling, samples)
        for language, said in output.hypotheses.items()
        if spelt[language].texts
    }


def _settings(scoring: Scoring) -> dict[str, Any]:
    return asdict(scoring) | {
        "normalizer": NORMALIZERS[scoring.normalizer].label,
        "romanizer": f"uroman {version('uroman')}, reduced to [a-z' ]",
        "rates": {script: {"cer": one, "wer": other} for script, (one, other) in RATES.items()},
        "aggregation": "errors pooled over a language's utterances, macro mean over languages; "
        "utterance_mean: mean of the utterances' own rates (ML-SUPERB 2.0)",
        "intervals": "95 % percentile bootstrap over utterances; over groups also over clades",
    }


def _made_by(command: Sequence[str]) -> dict[str, Any]:
    return {
        "command": list(command),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
    }
