"""What systems said: one JSONL file a language, the contract also of other people's hypotheses.

A line is ``{"id": ..., "text": ...}``; ``lang`` is optional. Ours add ``condition`` (whose adapter or
language token was used) and ``error`` where an utterance could not be decoded (its text is empty).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from madg_speech.cache import atomic_path
from madg_speech.errors import DataError


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The text that a system gave for the utterance ``id``."""

    id: str
    text: str
    lang: str | None = None
    condition: str | None = None
    error: str | None = None


def write_hypotheses(path: Path, hypotheses: Iterable[Hypothesis]) -> None:
    """Write JSONL whole or not at all; absent fields are left out."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as out:
        for hypothesis in hypotheses:
            fields = {
                name: value for name, value in asdict(hypothesis).items() if value is not None
            }
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_hypotheses(path: Path) -> tuple[list[Hypothesis], list[str]]:
    """Read JSONL; returns the hypotheses, each id once, and the ids that stood there repeatedly.

    Raises:
        DataError: the file is missing or empty, a line is no hypothesis, or an id stands there with
            two different texts.
    """
    if not path.is_file():
        raise DataError(f"hypotheses not found: {path}")
    found: dict[str, tuple[int, Hypothesis]] = {}
    repeated: list[str] = []
    contradicted: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            hypothesis = _parse(line, f"{path}:{number}")
            first = found.setdefault(hypothesis.id, (number, hypothesis))
            if first[0] == number:
                continue
            repeated.append(hypothesis.id)
            if first[1].text != hypothesis.text:
                contradicted.append(f"{hypothesis.id!r} in lines {first[0]} and {number}")
    if contradicted:
        raise DataError(
            f"{path}: {len(contradicted)} ids have two different texts, first {contradicted[0]}; keep one"
        )
    if not found:
        raise DataError(f"{path}: no hypothesis in it")
    return [hypothesis for _, hypothesis in found.values()], list(dict.fromkeys(repeated))


def _parse(line: str, place: str) -> Hypothesis:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
        raise DataError(f'{place}: expected {{"id": ..., "text": ...}} with an id')
    if not isinstance(fields.get("text"), str):
        raise DataError(
            f"{place}: text of {fields['id']!r} must be a string, empty if nothing was said"
        )
    known = {name: fields.get(name) for name in ("lang", "condition", "error")}
    return Hypothesis(fields["id"], fields["text"], **known)
