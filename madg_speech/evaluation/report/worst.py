"""The utterances that a system got most wrong, with what may be shown of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from madg_speech.data.manifest import Utterance
from madg_speech.evaluation.folder import HYPOTHESES, REFERENCES, read_references
from madg_speech.evaluation.hypotheses import read_hypotheses
from madg_speech.evaluation.report.parts import Part
from madg_speech.evaluation.spelling import Spelling
from madg_speech.metrics.error_rate import character_errors
from madg_speech.text.normalize import NORMALIZERS

PER_LANGUAGE = 2
_NON_COMMERCIAL = re.compile(r"\bNC\b|non.?commercial", re.IGNORECASE)


@dataclass(frozen=True)
class Miss:
    """An utterance of a language (its English name) and what was made of it, spelt as they were scored."""

    utterance: Utterance
    language: str
    reference: str
    hypothesis: str
    rate: float
    error: str | None


def worst_utterances(
    part: Part, system: str, limit: int, non_commercial: bool = False
) -> tuple[list[Miss], int]:
    """The worst utterances of a system by CER, at most two a language.

    Without this cap one bad recording session fills the list. A reference whose licence forbids
    commercial use is not quoted unless asked for: reports travel.

    Args:
        part: if its folder no longer holds references and hypotheses, the list is empty.
        system: whose.
        limit: how many in all.
        non_commercial: whether to quote such references.

    Returns:
        The utterances, worst first, and how many utterances their licence kept from being chosen.
    """
    if limit < 1 or not (part.folder / REFERENCES).is_file():
        return [], 0
    spelling = Spelling(
        "romanized" if part.spellings[0] == "romanized" else "native",
        NORMALIZERS[part.results["settings"]["normalizer"].rpartition("-")[0]],
    )
    found: list[Miss] = []
    withheld = 0
    for language, rows in read_references(part.folder).items():
        file = part.folder / HYPOTHESES / system / f"{language}.jsonl"
        if not file.is_file() or language not in part.languages:
            continue
        quotable = [
            u for u in rows if non_commercial or not _NON_COMMERCIAL.search(u.license or "")
        ]
        withheld += len(rows) - len(quotable)
        said = {h.id: h for h in read_hypotheses(file)[0]}
        misses = [
            Miss(
                u,
                part.results["languages"][language]["name"],
                reference,
                spelling(said[u.id].text, language) if u.id in said else "",
                0.0,
                said[u.id].error if u.id in said else "no hypothesis",
            )
            for u in quotable
            if (reference := spelling(u.text, language)).strip()
        ]
        found += _worst_of(misses)
    return sorted(found, key=lambda m: (-m.rate, m.utterance.id))[:limit], withheld


def _worst_of(misses: list[Miss]) -> list[Miss]:
    if not misses:
        return []
    counts = character_errors([m.reference for m in misses], [m.hypothesis for m in misses])
    rated = [replace(m, rate=count.rate) for m, count in zip(misses, counts, strict=True)]
    return sorted(rated, key=lambda m: (-m.rate, m.utterance.id))[:PER_LANGUAGE]
