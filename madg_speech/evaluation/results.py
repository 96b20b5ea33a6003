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
from madg_speech.errors import DataError, UnknownLanguageError
from madg_speech.evaluation.compare import choose_mode, compare_all
from madg_speech.evaluation.decode import DESCRIPTION
from madg_speech.evaluation.folder import HYPOTHESES, LEAKS, RESULTS, read_references
from madg_speech.evaluation.hypotheses import Hypothesis, read_hypotheses
from madg_speech.evaluation.score import (
    RATES,
    LanguageScores,
    References,
    Spelling,
    Standing,
    score_language,
    spell_references,
    summarise_groups,
)
from madg_speech.evaluation.systems import Script
from madg_speech.languages import resolve
from madg_speech.splits import canonical, clade, near_duplicates
from madg_speech.text.normalize import NORMALIZERS
from madg_speech.typology import nearest, observed_share

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


@dataclass(frozen=True)
class SystemOutput:
    """A system's description and what it said: language -> id -> hypothesis."""

    description: Mapping[str, Any]
    hypotheses: Mapping[str, Mapping[str, Hypothesis]]


def score_folder(folder: Path, scoring: Scoring, command: Sequence[str] = ()) -> dict[str, Any]:
    """Score all hypotheses in a folder, write ``results.json`` and return what it holds.

    Raises:
        DataError: the folder is no evaluation folder, or there is nothing to score.
    """
    references = read_references(folder)
    outputs = _read_outputs(folder / HYPOTHESES, references)
    if not outputs:
        raise DataError(f"{folder / HYPOTHESES} holds no finished hypotheses")
    leaks = _read_json(folder / LEAKS)
    results = {
        "format": FORMAT,
        "made_by": _made_by(command),
        "settings": _settings(scoring),
        "problems": {"empty_references": {}},
        "leak_filter": _leak_summary(leaks, references),
        "languages": {name: _describe_language(name, rows) for name, rows in references.items()},
        "systems": {name: _describe_system(output, references) for name, output in outputs.items()},
        "scores": {},
        "groups": {},
        "chosen": {},
        "comparisons": {},
    }
    standings = _standings(outputs, references)
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


def _read_outputs(
    folder: Path, references: Mapping[str, Sequence[Utterance]]
) -> dict[str, SystemOutput]:
    """Systems in the order in which they were made; the first is the one under study."""
    outputs = {}
    found = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda p: (p.stat().st_mtime_ns, str(p)))
    for path in found:
        said = {
            language: {h.id: h for h in read_hypotheses(file)[0]}
            for language in references
            if (file := path.parent / f"{language}.jsonl").is_file()
        }
        if said:
            outputs[path.parent.name] = SystemOutput(_read_json(path) or {}, said)
    return outputs


def _standings(
    outputs: Mapping[str, SystemOutput], references: Mapping[str, Sequence[Utterance]]
) -> dict[str, dict[str, Standing]]:
    """A system that names no training languages or backbone is grouped like the first that does."""

    def first(key: str) -> Any:
        named = (output.description.get(key) for output in outputs.values())
        return next((value for value in named if value), None)

    trained, backbone = first("trained"), first("backbone")
    return {
        name: {
            language: Standing.of(
                language,
                output.description.get("trained") or trained,
                output.description.get("backbone") or backbone,
            )
            for language in references
        }
        for name, output in outputs.items()
    }


def _describe_system(
    output: SystemOutput, references: Mapping[str, Sequence[Utterance]]
) -> dict[str, Any]:
    trained = output.description.get("trained") or []
    described: dict[str, Any] = {"description": dict(output.description), "problems": {}}
    missing: list[str] = []
    failed: dict[str, str] = {}
    other: list[str] = []
    for language, rows in references.items():
        said = output.hypotheses.get(language, {})
        missing += [u.id for u in rows if u.id not in said]
        failed |= {h.id: h.error for h in said.values() if h.error}
        other += [h.id for h in said.values() if h.lang and canonical(h.lang) != language]
    problems: dict[str, Any] = {"missing": missing, "failed": failed, "other_language": other}
    problems |= {key: output.description.get(key) for key in ("extra", "repeated")}
    described["problems"] = {key: value for key, value in problems.items() if value}
    if trained:
        described["in_training"] = [name for name in references if name in map(canonical, trained)]
        described["near_duplicates"] = {
            name: [[n.iso, n.distance] for n in twins]
            for name in references
            if (twins := near_duplicates(name, trained))
        }
        described["nearest_trained"] = {name: _nearest(name, trained) for name in references}
    return described


def _nearest(language: str, trained: Sequence[str]) -> list[Any] | None:
    try:
        found = nearest(language, trained, 1)
    except UnknownLanguageError:
        return None
    return [found[0].iso, found[0].distance] if found else None


def _describe_language(code: str, rows: Sequence[Utterance]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "utterances": len(rows),
        "seconds": round(sum(u.seconds for u in rows), 3),
        "sources": sorted({u.source for u in rows if u.source}),
        "licenses": sorted({u.license for u in rows if u.license}),
    }
    try:
        language = resolve(code)
    except UnknownLanguageError:
        return {"name": code} | described
    return {
        "name": language.name,
        "family": language.lineage[0] if language.lineage else None,
        "clade": list(clade(language.lineage)),
        "latitude": language.latitude,
        "longitude": language.longitude,
        "script": language.script,
        "known_to": sorted(language.known_to),
        "observed_share": observed_share(language.iso),
    } | described


def _leak_summary(
    leaks: dict[str, Any] | None, references: Mapping[str, Sequence[Utterance]]
) -> dict[str, Any] | None:
    if leaks is None:
        return None
    counts = {
        language: sum(u.id in leaks["leaks"] for u in rows) for language, rows in references.items()
    }
    return leaks | {"per_language": counts}


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


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
