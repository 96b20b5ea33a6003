"""What a language is: any code, tag or English name in, one :class:`Language` out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from madg_speech.errors import UnknownLanguageError
from madg_speech.language_data import tables
from madg_speech.language_data.names import codes_by_name, fold, nearest

ScriptType = Literal["alphabet", "abugida", "abjad", "logographic", "syllabary", "unknown"]

_PRIVATE_USE = re.compile("q[a-t][a-z]")  # codes that ISO 639-3 leaves to anyone

# BCP-47 (RFC 5646): language, extended language, script, region, variants, extensions.
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(-(?P<extended>[a-z]{3}))?(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-z0-9](-[a-z0-9]{2,8})+)*"
)


@dataclass(frozen=True)
class Language:
    """A language with a URIEL entry.

    Attributes:
        iso: ISO 639-3 code, or the retired or private code under which URIEL lists it.
        name: English name.
        lineage: Glottolog clades, family first, innermost last; empty for an isolate and where
            URIEL+ has no Glottolog match.
        latitude: degrees north, None if unknown.
        longitude: degrees east, None if unknown.
        script: type of the script that CLDR gives as the usual one for the language or its
            macrolanguage; "unknown" where CLDR is silent. It says nothing of what a corpus uses.
        known_to: the backbones whose published training languages name this one ("whisper",
            "xls-r", "xlm-r", "mbert"). A macrolanguage there counts for the individual language it
            resolves to.
    """

    iso: str
    name: str
    lineage: tuple[str, ...]
    latitude: float | None
    longitude: float | None
    script: ScriptType
    known_to: frozenset[str]


def resolve(query: str, notify: Callable[[str], None] | None = None) -> Language:
    """The language meant by an ISO 639-1/-2/-3 code, a BCP-47 tag (``sw-KE``) or an English name.

    Codes come before names. A macrolanguage becomes the individual language that stands for it
    (``language_data/macrolanguages.json``); one without such a choice keeps its own URIEL entry.

    Args:
        query: case, accents and surrounding space do not matter; ``_`` counts as ``-`` in tags.
        notify: called with a sentence for each choice that the user should hear of.

    Raises:
        UnknownLanguageError: no such code or name (with near matches), a name that several
            languages share, or a language without a URIEL entry (with the two ways in).
    """
    tell = notify or (lambda _: None)
    text = query.strip()
    given = _code(text)
    if given is None and (given := _named(text)) is None:
        text, given = _tagged(text)
    elif given and (other := _named_exactly(text)) and _individual(other) != _individual(given):
        tell(f"{text} is read as a code; for the language named {text} say {other}")
    if given is None:
        raise UnknownLanguageError(_unknown(query))
    return _choose(given, text, tell)


def language_code(query: str, notify: Callable[[str], None] | None = None) -> str:
    """ISO 639-3 code of a language for a manifest: URIEL need not know it.

    Args:
        query: as for :func:`resolve`; or any ISO 639-3 code, ``qaa`` to ``qtz`` (left to anyone) too.
        notify: as for :func:`resolve`.

    Raises:
        UnknownLanguageError: neither.
    """
    try:
        return resolve(query, notify).iso
    except UnknownLanguageError:
        code = query.strip().lower()
        if code in tables.iso_languages() or _PRIVATE_USE.fullmatch(code):
            return code
        raise


def all_languages() -> tuple[Language, ...]:
    """Every code with a URIEL entry (7,970), in order of code; macro and retired codes included."""
    return tuple(_language(iso) for iso in sorted(tables.places()))


def clade_members(clade: str) -> tuple[Language, ...]:
    """Languages below a Glottolog clade, in order of code.

    A clade of exactly this name (but for case) wins; otherwise every clade whose name ends in it
    counts (``Bantu`` finds ``Narrow Bantu``, not the creoles of ``Bantu Layer ...``).

    Raises:
        UnknownLanguageError: no lineage holds such a clade; names near matches.
    """
    wanted = fold(clade)
    clades = {name: fold(name) for lang in all_languages() for name in lang.lineage}
    chosen = {name for name, folded in clades.items() if folded == wanted} or {
        name for name, folded in clades.items() if wanted and folded.endswith(f" {wanted}")
    }
    if not chosen:
        near = nearest(clade.strip().title(), clades)
        raise UnknownLanguageError(
            f"no clade named {clade!r} in Glottolog's lineages{_did_you_mean(near)}"
        )
    return tuple(lang for lang in all_languages() if chosen.intersection(lang.lineage))


def search(text: str) -> tuple[Language, ...]:
    """Languages whose code is ``text`` or one of whose English names contains it."""
    wanted = fold(text)
    if not wanted:
        return ()
    found = {iso for name, isos in codes_by_name().items() if wanted in name for iso in isos} | {
        wanted
    }
    return tuple(_language(iso) for iso in sorted(found & tables.places().keys()))


def _choose(given: str, text: str, tell: Callable[[str], None]) -> Language:
    individual = _individual(given)
    entries = tables.places()
    if individual in entries:
        language = _language(individual)
        if individual != given:
            tell(f"{text} is a macrolanguage: using {individual} ({language.name})")
        elif _is_macro(given):
            tell(
                f"{text} is a macrolanguage: using the entry that URIEL has for {given} as a whole"
            )
        return language
    if given in entries:
        tell(f"{text} is a macrolanguage: using its own entry, URIEL has none for {individual}")
        return _language(given)
    name = tables.iso_name(given) or given
    members = [iso for iso in _members(given) if iso in entries]
    hint = f" It has entries for {', '.join(members[:6])}." if members else ""
    raise UnknownLanguageError(
        f"{given} ({name}) is a language, but URIEL has no typological entry for it.{hint} Two "
        "ways in: --vector FILE (289 numbers of your own, in URIEL's feature order) or --adapter "
        "DIR (an adapter made for it elsewhere)"
    )


def _code(text: str) -> str | None:
    code = text.lower()
    code = tables.code_aliases().get(code, code)
    return code if code in tables.iso_languages() or code in tables.places() else None


def _tagged(text: str) -> tuple[str, str | None]:
    """The subtag of a BCP-47 tag that names the language, and its code."""
    match = _TAG.fullmatch(text.lower().replace("_", "-"))
    if match is None:
        return text, None
    subtag = match["extended"] or match["language"]
    return subtag, _code(subtag)


def _named(text: str) -> str | None:
    isos = codes_by_name().get(fold(text), ())
    # Swahili names a macrolanguage and its standard variety: one language all the same.
    if len({_individual(iso) for iso in isos}) > 1:
        listed = ", ".join(f"{iso} ({tables.iso_name(iso) or _language(iso).name})" for iso in isos)
        raise UnknownLanguageError(
            f"several languages are named {text!r}: say which code: {listed}"
        )
    return isos[0] if isos else None


def _named_exactly(text: str) -> str | None:
    """The one language whose English name is spelt so, capital letter and all (Mon, not mon)."""
    isos = codes_by_name().get(fold(text), ()) if text[:1].isupper() and not text.isupper() else ()
    return isos[0] if len(isos) == 1 else None


def _individual(iso: str) -> str:
    return tables.macrolanguages().get(iso, iso)


def _is_macro(iso: str) -> bool:
    lang = tables.iso_languages().get(iso)
    return lang is not None and lang.scope() == "Macrolanguage"


def _members(iso: str) -> list[str]:
    lang = tables.iso_languages().get(iso)
    return [member.pt3 for member in lang.individuals()] if lang else []


@cache
def _language(iso: str) -> Language:
    # A macrolanguage has no Glottolog entry of its own: it stands where its standard variety does.
    place = tables.places()[iso] or tables.places().get(_individual(iso))
    reference = tables.iso_name(iso)
    name = tables.english_names().get(iso) or (
        re.sub(r" \((individual|macro)\s?language\)$", "", reference)
        if reference
        else (place.name if place else iso)
    )
    script = tables.script_types().get(tables.script_of(iso) or "", "unknown")
    return Language(
        iso=iso,
        name=name,
        lineage=place.lineage if place else (),
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        script="alphabet" if iso in tables.FULLY_VOWELLED else script,  # type: ignore[arg-type]
        known_to=tables.backbones_knowing().get(_individual(iso), frozenset()),
    )


def _unknown(query: str) -> str:
    near = nearest(fold(query), codes_by_name())
    found = {codes_by_name()[name][0]: name.title() for name in reversed(near)}
    shown = [f"{code} ({name})" for code, name in reversed(found.items())]
    if len(query) <= 3:
        codes = nearest(query.lower(), sorted(tables.places()), limit=3)
        shown = [f"{code} ({_language(code).name})" for code in codes] + shown[:2]
    return (
        f"unknown language {query!r}{_did_you_mean(shown)} (expected an ISO 639 code like swh or "
        "sw, a tag like sw-KE, or an English name; `madg-speech languages TEXT` searches)"
    )


def _did_you_mean(near: list[str]) -> str:
    return f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
