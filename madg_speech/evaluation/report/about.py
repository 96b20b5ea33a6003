"""Results -> sheets of circumstances: data, systems, settings, versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from madg_speech.evaluation.report.parts import Part, training_sets
from madg_speech.evaluation.report.sheet import Cell, Column, Sheet, number


def system_sheet(part: Part) -> Sheet:
    """What each system is."""
    columns = [
        Column(name) for name in ("system", "kind", "from", "backbone", "conditioned on",
                                  "decoding", "training languages", "SHA-256")
    ]  # fmt: skip
    rows = []
    for name in part.systems:
        about = part.results["systems"][name]["description"]
        folds = about.get("folds", (about,))
        models = [f.get("checkpoint") or about.get("model") or f.get("file") or "–" for f in folds]
        backbone = (about.get("backbone"), about.get("backbone_revision"))
        sizes = sorted({len(codes) for codes in training_sets(about)})
        hashes = [str(fold["sha256"])[:12] for fold in folds if "sha256" in fold]
        rows.append(
            [
                Cell(name),
                Cell(" ".join(filter(None, (about["kind"], about.get("source"))))),
                Cell(", ".join(dict.fromkeys(map(shorten, models)))),
                Cell(" @ ".join(filter(None, backbone)) or "–"),
                Cell(about.get("adapter_from") or about.get("mode") or "–"),
                Cell(about.get("decoding", "–")),
                number(sizes[0] if sizes else None, "–".join(map(str, sizes)) or "–"),
                Cell(" ".join(hashes) or "–"),
            ]
        )  # fmt: skip
    return Sheet("Systems", columns, rows)


def settings_sheet(part: Part) -> Sheet:
    """How the scores were made, and with which versions."""
    settings, made_by = part.results["settings"], part.results["made_by"]
    rows = {
        "normaliser": settings["normalizer"],
        "romanisation": settings["romanizer"],
        "aggregation": settings["aggregation"],
        "intervals": f"{settings['intervals']}; {settings['samples']} samples",
        "development languages": " ".join(settings["dev_languages"]) or "none",
        "leak filter": _leak_filter(part.results["leak_filter"]),
        "audio": _audio(part.results["languages"].values()),
        "command": command(made_by["command"]),
        "Python": made_by["python"],
        **made_by["packages"],
    }
    return Sheet(
        "Settings and versions",
        [Column("what"), Column("value")],
        [[Cell(name), Cell(value)] for name, value in rows.items()],
    )


def data_sheet(part: Part) -> Sheet:
    """Whose recordings were scored, and under which licence."""
    rows = []
    for language, about in part.results["languages"].items():
        leaks = part.results["leak_filter"]
        leaked = leaks["per_language"].get(language, 0) if leaks else None
        rows.append(
            [
                Cell(about["name"], small=language),
                Cell(" › ".join(about.get("clade") or ()) or "–"),
                number(about["utterances"], str(about["utterances"])),
                number(about["seconds"], f"{about['seconds'] / 60:.1f}"),
                number(leaked, "–" if leaked is None else str(leaked)),
                Cell(", ".join(about["sources"]) or "not given"),
                Cell(", ".join(about["licenses"]) or "not given"),
            ]
        )
    columns = [
        Column("language"), Column("clade"), Column("utterances", True), Column("minutes", True),
        Column("leaked", True), Column("source"), Column("licence"),
    ]  # fmt: skip
    return Sheet("Data", columns, rows)


def shorten(path: str) -> str:
    """The last two parts of an absolute path: a report is read on other machines."""
    parts = PurePath(path).parts
    return "/".join(("…", *parts[-2:])) if PurePath(path).is_absolute() and len(parts) > 3 else path


def command(words: Iterable[str]) -> str:
    """A command line with short paths, an option's many values listed once."""
    shown: list[str] = []
    counts: dict[str, int] = {}
    option = ""
    for place, word in enumerate(words):
        if place == 0:
            shown.append(PurePath(word).name)
        elif word.startswith("-"):
            option = word
            counts[option] = counts.get(option, 0) + 1
            if counts[option] <= 3:
                shown.append(word)
        elif counts.get(option, 0) <= 3:
            shown.append(shorten(word))
    more = [f"{name} {count - 3} more" for name, count in counts.items() if count > 3]
    return " ".join(shown) + (f" ({', '.join(more)})" if more else "")


def _leak_filter(leaks: Mapping[str, Any] | None) -> str:
    if leaks is None:
        return "not run"
    return (
        f"{len(leaks['leaks'])} utterances within edit distance 1 or 20 % of one of "
        f"{leaks['transcripts']} training transcripts"
    )


def _audio(languages: Iterable[Mapping[str, Any]]) -> str:
    rows = list(languages)
    minutes = sum(row["seconds"] for row in rows) / 60
    utterances = sum(row["utterances"] for row in rows)
    return f"{len(rows)} languages, {utterances} utterances, {minutes:.0f} minutes"
