"""What a reader of scores must know of the languages, the systems and their overlap, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from madg_speech.data.manifest import Utterance
from madg_speech.errors import UnknownLanguageError
from madg_speech.evaluation.outputs import SystemOutput
from madg_speech.languages import resolve
from madg_speech.splits import canonical, clade, near_duplicates
from madg_speech.typology import nearest, observed_share


def describe_system(
    output: SystemOutput, references: Mapping[str, Sequence[Utterance]]
) -> dict[str, Any]:
    """Description, problems of its hypotheses, and which languages (or their doubles) it was trained on."""
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
    trained = {name: codes for name in references if (codes := output.trained(name))}
    if trained:
        described["in_training"] = [n for n, codes in trained.items() if n in map(canonical, codes)]
        described["near_duplicates"] = {
            name: [[n.iso, n.distance] for n in twins]
            for name, codes in trained.items()
            if (twins := near_duplicates(name, codes))
        }
        described["nearest_trained"] = {n: _nearest(n, codes) for n, codes in trained.items()}
    return described


def _nearest(language: str, trained: Sequence[str]) -> list[Any] | None:
    try:
        found = nearest(language, trained, 1)
    except UnknownLanguageError:
        return None
    return [found[0].iso, found[0].distance] if found else None


def describe_language(code: str, rows: Sequence[Utterance]) -> dict[str, Any]:
    """Size, sources and licences of a language's utterances; what URIEL and others say of it."""
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


def describe_leaks(
    leaks: dict[str, Any] | None, references: Mapping[str, Sequence[Utterance]]
) -> dict[str, Any] | None:
    """What the leak filter found, with counts per language; None if it was not run."""
    if leaks is None:
        return None
    counts = {
        language: sum(u.id in leaks["leaks"] for u in rows) for language, rows in references.items()
    }
    return leaks | {"per_language": counts}
