"""What an evaluation folder holds of each system, and how its languages stand to the system."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madg_speech.data.manifest import Utterance
from madg_speech.evaluation.decode import DESCRIPTION
from madg_speech.evaluation.groups import Standing
from madg_speech.evaluation.hypotheses import Hypothesis, read_hypotheses


@dataclass(frozen=True)
class SystemOutput:
    """A system's description and what it said: language -> id -> hypothesis."""

    description: Mapping[str, Any]
    hypotheses: Mapping[str, Mapping[str, Hypothesis]]


def read_outputs(
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
            outputs[path.parent.name] = SystemOutput(
                json.loads(path.read_text(encoding="utf-8")), said
            )
    return outputs


def find_standings(
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
