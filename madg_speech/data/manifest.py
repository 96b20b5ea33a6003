"""The one contract for speech data: a JSONL manifest, one utterance a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from madg_speech.cache import atomic_path
from madg_speech.errors import ManifestError

REQUIRED = ("id", "audio", "text", "lang", "seconds")
OPTIONAL = ("speaker", "source", "license")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest. ``audio`` is absolute once read; ``lang`` is ISO 639-3."""

    id: str
    audio: Path
    text: str
    lang: str
    seconds: float
    speaker: str | None = None
    source: str | None = None
    license: str | None = None


def read_manifest(path: Path | str, transcribed: bool = True) -> list[Utterance]:
    """Read a manifest; audio paths are relative to the manifest's folder.

    Args:
        path: the JSONL file.
        transcribed: False: a line may lack ``text``, which is then empty.

    Raises:
        ManifestError: the file is missing or empty, or a line is broken, lacks a field, or repeats an id.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"manifest not found: {path}")
    utterances = list(_read_lines(path, transcribed))
    if not utterances:
        raise ManifestError(f"{path}: the manifest holds no utterance")
    return utterances


def _read_lines(path: Path, transcribed: bool) -> Iterator[Utterance]:
    seen: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            utterance = _parse(line, f"{path}:{number}", path.parent, transcribed)
            if utterance.id in seen:
                raise ManifestError(
                    f"{path}:{number}: id {utterance.id!r} was used in line {seen[utterance.id]}"
                )
            seen[utterance.id] = number
            yield utterance


def _parse(line: str, place: str, folder: Path, transcribed: bool) -> Utterance:
    try:
        fields: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{place}: not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(fields, dict):
        raise ManifestError(f"{place}: expected an object with {', '.join(REQUIRED)}")
    if not transcribed:
        fields.setdefault("text", "")
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise ManifestError(f"{place}: missing {', '.join(missing)}")
    for name in ("id", "audio", "text", "lang"):
        if not isinstance(fields[name], str) or (name != "text" and not fields[name]):
            raise ManifestError(f"{place}: {name} must be a non-empty string")
    seconds = fields["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ManifestError(f"{place}: seconds must be a number above 0, not {seconds!r}")
    return Utterance(
        fields["id"],
        (folder / fields["audio"]).resolve(),
        fields["text"],
        fields["lang"],
        float(seconds),
        **{name: fields.get(name) for name in OPTIONAL},
    )


def write_manifest(path: Path | str, utterances: Iterable[Utterance]) -> int:
    """Write a manifest whole or not at all, audio relative to its folder; return the line count."""
    path = Path(path)
    count = 0
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as out:
        for utterance in utterances:
            fields = {name: value for name, value in asdict(utterance).items() if value is not None}
            fields["audio"] = _relative(utterance.audio, path.parent.resolve())
            fields["seconds"] = round(utterance.seconds, 3)
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
            count += 1
    return count


def _relative(audio: Path, folder: Path) -> str:
    resolved = audio.resolve()
    return str(resolved.relative_to(folder)) if resolved.is_relative_to(folder) else str(resolved)
