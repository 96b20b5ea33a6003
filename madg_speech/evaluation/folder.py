"""An evaluation folder: references, hypotheses, results; all that scoring needs but the audio.

references.jsonl              what was to be said (a manifest)
leaks.json                    what the leak filter found, if it was run
hypotheses/SYSTEM/system.json what SYSTEM is
hypotheses/SYSTEM/LANG.jsonl  what it said
results.json                  scores, groups, comparisons, problems, versions
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from madg_speech.cache import atomic_path
from madg_speech.data.manifest import Utterance, read_manifest, write_manifest
from madg_speech.errors import DataError
from madg_speech.progress import track
from madg_speech.splits import canonical, find_leaks
from madg_speech.text.normalize import normalize
from madg_speech.text.romanize import romanize

REFERENCES, LEAKS, HYPOTHESES, RESULTS = (
    "references.jsonl",
    "leaks.json",
    "hypotheses",
    "results.json",
)


def by_language(
    utterances: Iterable[Utterance], wanted: Sequence[str] = ()
) -> dict[str, list[Utterance]]:
    """Language (as ``splits.canonical`` spells it) -> utterances; languages sorted, utterances as given.

    Raises:
        DataError: an id stands there twice, or nothing is left of ``wanted``.
    """
    found: dict[str, list[Utterance]] = {}
    seen: set[str] = set()
    twice: list[str] = []
    for utterance in utterances:
        (twice.append if utterance.id in seen else seen.add)(utterance.id)
        language = canonical(utterance.lang)
        found.setdefault(language, []).append(replace(utterance, lang=language))
    if twice:
        raise DataError(
            f"{len(twice)} ids stand in more than one manifest, first {twice[0]!r}; make them differ"
        )
    missing = [code for code in wanted if canonical(code) not in found]
    if missing:
        raise DataError(
            f"no utterance in {', '.join(missing)}; the manifests hold {', '.join(sorted(found))}"
        )
    chosen = {canonical(code) for code in wanted} or found.keys()
    return {language: found[language] for language in sorted(chosen)}


def write_references(folder: Path, references: Mapping[str, Sequence[Utterance]]) -> None:
    """Keep the references, so that scoring needs no manifest."""
    write_manifest(folder / REFERENCES, (u for rows in references.values() for u in rows))


def read_references(folder: Path) -> dict[str, list[Utterance]]:
    """Read what :func:`write_references` kept; DataError if the folder is no evaluation folder."""
    if not (folder / REFERENCES).is_file():
        raise DataError(f"{folder} is no evaluation folder: it has no {REFERENCES}")
    return by_language(read_manifest(folder / REFERENCES))


def write_leaks(
    folder: Path, references: Mapping[str, Sequence[Utterance]], training: Sequence[Utterance]
) -> None:
    """Run the leak filter against training transcripts and keep what it found."""
    texts = {
        romanize(normalize(u.text), canonical(u.lang))
        for u in track(training, "romanising training text")
    }
    evaluated = {
        u.id: romanize(normalize(u.text), language)
        for language, rows in references.items()
        for u in rows
    }
    with Console(stderr=True).status("looking for leaked text"):
        leaks = find_leaks(evaluated, texts)
    kept = {
        "transcripts": len(texts),
        "leaks": {name: asdict(leak) for name, leak in leaks.items()},
    }
    with atomic_path(folder / LEAKS) as draft:
        draft.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_leaks(folder: Path) -> dict[str, Any] | None:
    """Read what :func:`write_leaks` kept; None if the filter was not run."""
    path = folder / LEAKS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
