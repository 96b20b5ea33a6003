"""English names of languages, folded so that spelling habits do not matter, and near matches."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from rapidfuzz import fuzz, process

from madg_speech.language_data import tables

_QUALIFIER = re.compile(r"\s*\([^)]*\)$")


def fold(text: str) -> str:
    """A name without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())


@cache
def codes_by_name() -> dict[str, tuple[str, ...]]:
    """Folded English name -> codes. Where sources disagree on a name, the better one wins."""
    iso = tables.iso_languages()
    places = tables.places()
    sources = [
        [(lang.name, code) for code, lang in iso.items()],
        [(name, code) for code, name in tables.english_names().items()],
        [(name, code) for name, code in tables.everyday_names().items()],
        [(_QUALIFIER.sub("", lang.name), code) for code, lang in iso.items()],
        [(name, code) for code, lang in iso.items() for name in lang.other_names()],
        [(place.name, code) for code, place in places.items() if place],
        [(tables.iso_name(code) or "", code) for code in places if code not in iso],
    ]
    names: dict[str, tuple[str, ...]] = {}
    for source in sources:
        fresh: dict[str, list[str]] = {}
        for name, code in source:
            folded = fold(name)
            if folded and folded not in names and code not in fresh.setdefault(folded, []):
                fresh[folded].append(code)
        names.update({name: tuple(sorted(codes)) for name, codes in fresh.items() if codes})
    return names


def nearest(wanted: str, choices: Iterable[str], limit: int = 4) -> list[str]:
    """Up to ``limit`` of ``choices`` spelt most like ``wanted``, best first."""
    found = process.extract(wanted, list(choices), scorer=fuzz.ratio, limit=limit, score_cutoff=60)
    return [name for name, _, _ in found]
