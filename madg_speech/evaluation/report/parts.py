"""results.json files -> the parts of a report, each with what its folder still holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madg_speech.errors import DataError
from madg_speech.evaluation.folder import RESULTS
from madg_speech.evaluation.results import FORMAT
from madg_speech.evaluation.spelling import RATES

TRAINING_GROUPS = ("trained", "clade", "family", "unrelated")


@dataclass(frozen=True)
class Part:
    """One evaluation.

    Attributes:
        name: its folder's name, made different from the other parts' names.
        folder: where references and hypotheses lie, if they are at hand.
        results: what ``evaluate`` wrote.
    """

    name: str
    folder: Path
    results: Mapping[str, Any]

    @property
    def spellings(self) -> tuple[str, ...]:
        """The spellings that were scored; every system is in the first."""
        return tuple(self.results["scores"])

    def rate_name(self, metric: str = "cer", spelling: str | None = None) -> str:
        """What ``cer`` or ``wer`` of a spelling is called: that of phones is no CER."""
        return RATES[spelling or self.spellings[0]][metric == "wer"]

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the scored systems, the one under study first."""
        return tuple(self.results["scores"][self.spellings[0]])

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-3 codes of the languages that the first system was scored on."""
        return tuple(self.results["scores"][self.spellings[0]][self.systems[0]])

    def score(self, system: str, language: str, spelling: str | None = None) -> Any | None:
        """Scores of a language over all its utterances (``cer``, ``wer`` ...), None without any."""
        subsets = self.results["scores"][spelling or self.spellings[0]].get(system, {})
        return subsets.get(language, {}).get("all")

    def group_of(self, language: str) -> str | None:
        """How the language stands to the training of the system under study; None if unknown."""
        groups = self.results["groups"][self.spellings[0]][self.systems[0]]
        for group in TRAINING_GROUPS:
            if language in groups.get(group, {}).get("all", {}).get("languages", ()):
                return group
        return None

    def trained(self) -> tuple[str, ...]:
        """Training languages of the first system that names any, in whichever fold."""
        described = (self.results["systems"][s]["description"] for s in self.systems)
        named = (training_sets(about) for about in described)
        found = next(filter(None, named), [])
        return tuple(sorted({code for codes in found for code in codes}))

    def distance(self, system: str, language: str) -> float | None:
        """Typological distance to the nearest other training language; None where unknown.

        A system that names no training languages is measured from those of the first that does.
        """
        for name in (system, *self.systems):
            nearest = self.results["systems"][name].get("nearest_trained")
            if nearest:
                return float(nearest[language][1]) if nearest.get(language) else None
        return None

    def strongest_other(self) -> str | None:
        """The system, other than the first, with the least macro CER: the one to beat."""
        groups = self.results["groups"][self.spellings[0]]
        others = [s for s in self.systems[1:] if "all" in groups.get(s, {})]
        return min(others, key=lambda s: groups[s]["all"]["all"]["cer"]["macro"], default=None)


def training_sets(description: Mapping[str, Any]) -> list[Sequence[str]]:
    """The training languages of a system, one list for each of its folds; empty if not known."""
    folds = description.get("folds", (description,))
    return [fold["trained"] for fold in folds if fold.get("trained")]


def read_parts(paths: Sequence[Path]) -> list[Part]:
    """Read results, given as files or as evaluation folders.

    Raises:
        DataError: a path holds no results, results of another format, or no score.
    """
    parts: list[Part] = []
    for path in paths:
        file = path / RESULTS if path.is_dir() else path
        results = _read(file)
        name = file.resolve().parent.name if file.name == RESULTS else file.stem
        same = sum(part.name == name or part.name.startswith(f"{name} (") for part in parts)
        parts.append(Part(f"{name} ({same + 1})" if same else name, file.parent, results))
    return parts


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"no results at {file}: give a folder that `madg-speech evaluate` filled")
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not JSON ({error})") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        found = results.get("format") if isinstance(results, dict) else None
        raise DataError(
            f"{file} is of format {found!r}, expected {FORMAT}: "
            f"`madg-speech evaluate --rescore {file.parent}` writes it anew"
        )
    if not any(any(s.values()) for s in results["scores"].values()):
        raise DataError(f"{file} holds no score")
    return results
