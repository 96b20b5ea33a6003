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

    def trained(self, language: str) -> list[str]:
        """Training languages of what transcribed ``language``, its own fold's; empty if not known."""
        folds = self.description.get("folds", ())
        own = next((fold for fold in folds if language in fold["languages"]), self.description)
        return list(own.get("trained") or ())


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

    backbones = [output.description.get("backbone") for output in outputs.values()]
    backbone = next(filter(None, backbones), None)
    trained = {
        language: next(filter(None, (o.trained(language) for o in outputs.values())), None)
        for language in references
    }
    return {
        name: {
            language: Standing.of(
                language,
                output.trained(language) or trained[language],
                output.description.get("backbone") or backbone,
            )
            for language in references
        }
        for name, output in outputs.items()
    }
