"""Counts of a zero-shot folder -> scores per language and group with intervals, comparisons, tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.data.annotate import METRICS
from madg_speech.errors import DataError
from madg_speech.evaluation.zero_shot import DESCRIPTION
from madg_speech.evaluation.zero_shot_tables import GROUPS, markdown
from madg_speech.metrics.bootstrap import Rate, macro_interval, paired_difference
from madg_speech.splits import canonical, clade_of, known_to_backbone, training_group

RESULTS, TABLES = "results.json", "results.md"
FEWEST = 20
"""Sentences with an entity below which a language's F1 says nothing."""
Rates = dict[str, Rate]


def standing(language: str, sources: Sequence[str], adapters: Sequence[str], backbone: str) -> str:
    """The group of ``language``, one of ``GROUPS``; a backbone of unknown languages has seen none."""
    if canonical(language) in {canonical(code) for code in sources}:
        return "source"
    if known_to_backbone(language, backbone):
        return "backbone"
    group = training_group(language, adapters)
    return {"trained": "adapters", "clade": "clade"}.get(group, "unrelated")


def summarise(folder: Path, samples: int = 1000) -> dict[str, Any]:
    """Score everything below ``folder``; writes ``results.json`` and ``results.md`` there.

    The system whose folder is the oldest is the one that others are compared with. Intervals
    are 95 % percentile bootstraps over sentences and, for groups, over clades.

    Raises:
        DataError: no scored language.
    """
    found = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda p: (p.stat().st_mtime_ns, str(p)))
    systems = {path.parent.name: _read(path) for path in found}
    counts = {name: _scored(folder / name) for name in systems}
    if not any(counts.values()):
        raise DataError(f"{folder}: no scored language in it")
    first = next(iter(systems.values()))
    adapters = max((s["adapters_trained"] for s in systems.values()), key=len)
    languages = sorted({iso for rows in counts.values() for iso in rows})
    # One grouping for all systems: by the widest adapter source, so that means are comparable.
    groups = {
        iso: standing(iso, first["sources"], adapters, first["backbone"]) for iso in languages
    }
    results: dict[str, Any] = {
        "format": 1,
        "task": first["task"],
        "systems": systems,
        "languages": {iso: {"group": groups[iso], "clade": clade_of(iso)} for iso in languages},
        "scores": {},
        "groups": {},
        "comparisons": [],
    }
    for metric in METRICS[first["task"]]:
        rates = {name: _rates(rows, metric, samples) for name, rows in counts.items()}
        results["scores"][metric] = {
            name: {iso: _score(rate) for iso, rate in of.items()} for name, of in rates.items()
        }
        results["groups"][metric] = {name: _macro(of, groups) for name, of in rates.items()}
        results["comparisons"] += _compare(metric, rates, groups)
    results["problems"] = {name: _problems(folder / name) for name in systems}
    for name, text in ((RESULTS, json.dumps(results, indent=1)), (TABLES, markdown(results))):
        with atomic_path(folder / name) as draft:
            draft.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    return results


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    files = [path for path in sorted(folder.glob("*.json")) if path.name != DESCRIPTION]
    return {path.stem: _read(path) for path in files}


def _scored(folder: Path) -> dict[str, dict[str, Any]]:
    return {iso: row for iso, row in _rows(folder).items() if "counts" in row}


def _problems(folder: Path) -> dict[str, dict[str, Any]]:
    kinds = ("failed", "left_out", "read_in_windows", "words_cut")
    found = {
        iso: {kind: row[kind] for kind in kinds if row.get(kind)}
        for iso, row in _rows(folder).items()
    }
    return {iso: problems for iso, problems in found.items() if problems}


def _rates(rows: Mapping[str, dict[str, Any]], metric: str, samples: int) -> Rates:
    """Error rates; a language with next to nothing to score (``FEWEST``) has none."""
    found = {}
    for iso, row in rows.items():
        counts = row["counts"]
        errors, lengths = counts[metric]["errors"], counts[metric]["lengths"]
        if metric != "f1" or row["telling"] >= FEWEST:
            found[iso] = Rate.of(errors, lengths, samples, iso)
    return found


def _score(rate: Rate) -> dict[str, Any]:
    interval = rate.interval
    return {
        "score": 1 - rate.value,
        "interval": interval and [1 - interval[1], 1 - interval[0]],
        "sentences": rate.utterances,
    }


def _macro(rates: Rates, groups: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for group in ("zero-shot", *GROUPS):
        inside = {
            iso: rate
            for iso, rate in rates.items()
            if groups[iso] == group or (group == "zero-shot" and groups[iso] != "source")
        }
        if inside:
            clades = {iso: clade_of(iso) for iso in inside}
            interval = macro_interval(inside, clades)
            found[group] = {
                "macro": 1 - statistics.fmean(rate.value for rate in inside.values()),
                "interval": interval and [1 - interval[1], 1 - interval[0]],
                "languages": sorted(inside),
                "clades": len(set(clades.values())),
            }
    return found


def _compare(
    metric: str, rates: Mapping[str, Rates], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The first system against each other one on the languages of both: differences in score."""
    first, *others = rates
    found = []
    for other in others:
        for group in ("zero-shot", *GROUPS[1:]):
            names = [
                iso
                for iso in rates[first].keys() & rates[other].keys()
                if groups[iso] == group or (group == "zero-shot" and groups[iso] != "source")
            ]
            if names:
                clades = {iso: clade_of(iso) for iso in names}
                # errors of the other less errors of the first: the first's gain in score
                gain = paired_difference(
                    {n: rates[other][n] for n in names}, {n: rates[first][n] for n in names}, clades
                )
                found.append(
                    {"metric": metric, "a": first, "b": other, "group": group} | asdict(gain)
                )
    return found
