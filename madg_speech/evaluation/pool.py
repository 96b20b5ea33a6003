"""Folds of a cross-validation -> one evaluation folder: each language as its own fold left it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.errors import DataError
from madg_speech.evaluation.decode import DESCRIPTION
from madg_speech.evaluation.folder import (
    HYPOTHESES,
    LEAKS,
    read_leaks,
    read_references,
    write_references,
)

_SHARED = ("kind", "source", "backbone", "model", "adapter_from", "mode", "decoding", "script")


def pool_folds(folders: Sequence[Path], target: Path) -> None:
    """Put the languages of several evaluation folders together, without decoding anything.

    Systems correspond if they are checkpoints of the same source with the same adapters
    (``two-stage.generated``), or others of the same name. Their descriptions keep, for each fold, its
    checkpoint, training languages and languages: what a language stands to is its own fold's training.

    Raises:
        DataError: not an evaluation folder, a language stands in two folds, or a system is not in all.
    """
    references = {folder: read_references(folder) for folder in folders}
    owner: dict[str, Path] = {}
    for folder, languages in references.items():
        for language in languages:
            if (other := owner.setdefault(language, folder)) != folder:
                raise DataError(f"{language} stands in {other} and in {folder}; folds share none")
    systems = {folder: _systems(folder / HYPOTHESES) for folder in folders}
    names = list(systems[folders[0]])
    for folder, found in systems.items():
        if missing := sorted(set(names) ^ set(found)):
            raise DataError(f"{folder} and {folders[0]} differ in systems: {', '.join(missing)}")
    write_references(target, {name: references[owner[name]][name] for name in sorted(owner)})
    shutil.rmtree(target / HYPOTHESES, ignore_errors=True)
    for name in names:
        _pool_system(target / HYPOTHESES / name, {f: systems[f][name] for f in folders}, references)
    leaks = [read_leaks(folder) for folder in folders]
    if all(found is not None for found in leaks):
        pooled = {
            "transcripts": sum(found["transcripts"] for found in leaks if found),
            "leaks": {k: v for found in leaks if found for k, v in found["leaks"].items()},
        }
        with atomic_path(target / LEAKS) as draft:
            draft.write_text(json.dumps(pooled, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _systems(folder: Path) -> dict[str, Path]:
    """Common name -> folder of the system, in the order in which they were made."""
    found = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda p: (p.stat().st_mtime_ns, str(p)))
    named: dict[str, Path] = {}
    for path in found:
        about = json.loads(path.read_text("utf-8"))
        checkpoint = about["kind"] == "checkpoint"
        name = f"{about['source']}.{about['adapter_from']}" if checkpoint else path.parent.name
        if name in named:
            raise DataError(
                f"{named[name]} and {path.parent} would both be {name}; evaluate them apart"
            )
        named[name] = path.parent
    return named


def _pool_system(
    target: Path, parts: Mapping[Path, Path], references: Mapping[Path, Mapping[str, Any]]
) -> None:
    folds: list[dict[str, Any]] = []
    shared: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    target.mkdir(parents=True)
    for fold, folder in parts.items():
        about = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        shared = shared or {key: about[key] for key in _SHARED if key in about}
        own = {k: about[k] for k in ("checkpoint", "file", "sha256", "trained") if k in about}
        folds.append({"name": fold.name, "languages": list(references[fold])} | own)
        for key in ("extra", "repeated"):
            problems.setdefault(key, []).extend(about.get(key, ()))
        for language in references[fold]:
            if (file := folder / f"{language}.jsonl").is_file():
                shutil.copyfile(file, target / file.name)
    description = shared | problems | {"folds": folds}
    with atomic_path(target / DESCRIPTION) as draft:
        draft.write_text(json.dumps(description, ensure_ascii=False, indent=1) + "\n", "utf-8")
