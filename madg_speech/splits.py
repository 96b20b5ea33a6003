"""How an evaluation language stands to the languages trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from madg_speech.errors import UnknownLanguageError
from madg_speech.languages import Language, resolve

Group = Literal["trained", "clade", "family", "unrelated"]


def training_group(language: str, trained: Iterable[str]) -> Group:
    """Trained itself; its clade has a trained member; only its family has; or none.

    Clade is the third level of the Glottolog lineage where there is one, else the innermost; family
    is the first level. A language that is its own family is unrelated to all others.
    """
    trained = set(trained)
    if language in trained:
        return "trained"
    own = _lineage(language)
    others = [_lineage(code) for code in trained]
    if not own:
        return "unrelated"
    if any(clade(own) == clade(other) for other in others if other):
        return "clade"
    return "family" if any(own[0] == other[0] for other in others if other) else "unrelated"


def clade(lineage: tuple[str, ...]) -> tuple[str, ...]:
    """The lineage cut at the level that this project calls a clade: three names, or all there are."""
    return lineage[:3]


def _lineage(code: str) -> tuple[str, ...]:
    try:
        language: Language = resolve(code)
    except UnknownLanguageError:
        return ()
    return language.lineage
