"""How evaluation stands to training: groups of languages, near-duplicate vectors, leaked text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from madg_speech.errors import UnknownLanguageError
from madg_speech.languages import Language, resolve
from madg_speech.typology import Neighbour, nearest

Group = Literal["trained", "clade", "family", "unrelated"]

NEAR_DUPLICATE = 10 / 289
"""Distance up to which two vectors count as one: bos-srp differ in 3 of 289 features, ind-msa in 7,
a median pair of FLEURS languages in 59."""

BACKBONE_NAMES = {
    "whisper": "whisper",
    "xls-r": "xls-r",
    "xlm-r": "xlm-r",
    "multilingual-e5": "xlm-r",  # begun from XLM-R's languages, by way of multilingual MiniLM
    "bert-base-multilingual": "mbert",
    "mbert": "mbert",
}
"""What a backbone's name holds -> its list in ``known_to.json``."""

LEAK_DISTANCE = 1
LEAK_SHARE = 0.2


def training_group(language: str, trained: Iterable[str]) -> Group:
    """Trained itself; its clade has a trained member; only its family has; or none.

    Clade is the third level of the Glottolog lineage where there is one, else the innermost; family
    is the first level. A language that is its own family is unrelated to all others. A macrolanguage
    counts as the individual language it resolves to.
    """
    codes = {canonical(code) for code in trained}
    if canonical(language) in codes:
        return "trained"
    own = _lineage(language)
    others = [lineage for code in codes if (lineage := _lineage(code))]
    if not own:
        return "unrelated"
    if any(clade(own) == clade(other) for other in others):
        return "clade"
    return "family" if any(own[0] == other[0] for other in others) else "unrelated"


def clade(lineage: tuple[str, ...]) -> tuple[str, ...]:
    """The lineage cut at the level that this project calls a clade: three names, or all there are."""
    return lineage[:3]


def clade_of(language: str) -> tuple[str, ...]:
    """The clade of a code; an isolate, or a code that nobody lists, is a clade of its own."""
    return clade(_lineage(language)) or (canonical(language),)


def canonical(code: str) -> str:
    """The ISO 639-3 code that ``code`` resolves to, or itself if it resolves to none."""
    language = _resolved(code)
    return language.iso if language else code


def near_duplicates(language: str, trained: Iterable[str]) -> list[Neighbour]:
    """Trained languages whose vector is that of ``language`` but for ``NEAR_DUPLICATE``, nearest first.

    The language itself is not among them. A code without a URIEL entry has none.
    """
    known = {other.iso for code in trained if (other := _resolved(code))}
    own = _resolved(language)
    if own is None:
        return []
    return [n for n in nearest(own.iso, known, len(known)) if n.distance <= NEAR_DUPLICATE]


def known_to_backbone(language: str, backbone: str) -> bool | None:
    """Whether the backbone's published training languages name it; None where no list is at hand.

    Args:
        language: any code.
        backbone: a hub id or folder whose name tells the family (``BACKBONE_NAMES``).
    """
    name = backbone.lower()
    family = next((family for part, family in BACKBONE_NAMES.items() if part in name), None)
    if family is None:
        return None
    found = _resolved(language)
    return found is not None and family in found.known_to


@dataclass(frozen=True, slots=True)
class Leak:
    """The training transcript (romanised) nearest to an evaluation text, and their edit distance."""

    text: str
    distance: int


def find_leaks(
    evaluation: Mapping[str, str],
    training: Iterable[str],
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Leak]:
    """Evaluation texts that a training transcript of any language gives away.

    Leaked: within Levenshtein distance 1 of one, or within 20 % of the evaluation text's length.
    Country names and loan words are alike everywhere, so language is not looked at.

    Args:
        evaluation: id -> romanised text; empty texts are never leaked.
        training: romanised transcripts.
        advance: called once for each evaluation text, for a progress bar.

    Returns:
        id -> the nearest transcript, for the leaked ones.
    """
    by_length: dict[int, list[str]] = defaultdict(list)
    texts = {text for text in training if text}
    for text in sorted(texts):
        by_length[len(text)].append(text)
    verdicts: dict[str, Leak | None] = {}
    leaks = {}
    for name, text in evaluation.items():
        if text not in verdicts:
            verdicts[text] = Leak(text, 0) if text in texts else _nearest_text(text, by_length)
        if found := verdicts[text]:
            leaks[name] = found
        advance()
    return leaks


def _nearest_text(text: str, by_length: Mapping[int, list[str]]) -> Leak | None:
    best: Leak | None = None
    allowed = max(LEAK_DISTANCE, int(LEAK_SHARE * len(text))) if text else -1
    # Nearest lengths first: what they find bounds the rest.
    for offset in range(allowed + 1):
        for length in {len(text) - offset, len(text) + offset}:
            limit = allowed if best is None else best.distance - 1
            if offset > limit or length not in by_length:
                continue
            found = process.extractOne(
                text, by_length[length], scorer=Levenshtein.distance, score_cutoff=limit
            )
            if found is not None:
                best = Leak(found[0], int(found[1]))
    return best


@cache
def _resolved(code: str) -> Language | None:
    try:
        return resolve(code)
    except UnknownLanguageError:
        return None


def _lineage(code: str) -> tuple[str, ...]:
    language = _resolved(code)
    return language.lineage if language else ()
