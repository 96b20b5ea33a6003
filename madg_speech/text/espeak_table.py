"""Which languages eSpeak NG speaks: our table from ISO 639-3 to its voices, and how one is chosen.

Facts from ``espeak-ng --voices`` (1.52) and each voice's own description; macrolanguages under
which text may be filed from the ISO 639-3 tables.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from importlib.resources import files

from madg_speech.errors import UnknownLanguageError


@dataclass(frozen=True)
class VoicedLanguage:
    """A language that eSpeak NG speaks (a row of ``espeak_voices.json``).

    Attributes:
        iso: ISO 639-3 code.
        name: English name.
        voices: eSpeak language codes; several are varieties of the language.
        cldr: CLDR locale, where there is one.
        files: other codes under which text may be filed (macrolanguages).
        off: why the language is left out unless asked for: constructed, a reconstructed
            pronunciation, or no URIEL vector.
    """

    iso: str
    name: str
    voices: list[str]
    cldr: str | None = None
    files: list[str] = field(default_factory=list)
    off: str | None = None


def load_table() -> list[VoicedLanguage]:
    """Every language with an eSpeak NG voice, by ISO code."""
    text = files("madg_speech.text").joinpath("espeak_voices.json").read_text("utf-8")
    return [VoicedLanguage(**row) for row in json.loads(text)]


def choose_languages(
    langs: list[str] | None, exclude: list[str] | None, include_off: bool
) -> tuple[list[VoicedLanguage], dict[str, str], list[str]]:
    """The languages to speak, why others are skipped, and remarks.

    Args:
        langs: codes or English names; None: all that are not ``off``. One named here is never off.
        exclude: codes or names to leave out; one without a voice is only remarked upon.
        include_off: also those that are ``off``.

    Raises:
        UnknownLanguageError: ``langs`` names a language that has no voice.
    """
    table = load_table()
    skipped, remarks = {}, []
    wanted = {row.iso: row for row in table}
    if langs is not None:
        wanted = {row.iso: row for row in (_find(query, table) for query in langs)}
    elif not include_off:
        skipped = {row.iso: row.off for row in table if row.off}
    for query in exclude or []:
        try:
            wanted.pop(_find(query, table).iso, None)
        except UnknownLanguageError as error:
            remarks.append(f"--exclude: {error}")
    return [row for row in wanted.values() if row.iso not in skipped], skipped, remarks


def _find(query: str, table: list[VoicedLanguage]) -> VoicedLanguage:
    asked = query.strip().casefold()
    names: dict[str, str] = {}
    for row in table:
        known = {row.iso, row.name.casefold(), *row.files, *row.voices, row.cldr or row.iso}
        if asked in known:
            return row
        names |= dict.fromkeys(known, f"{row.iso} ({row.name})")
    near = dict.fromkeys(names[name] for name in difflib.get_close_matches(asked, names, n=3))
    hint = f"; near: {', '.join(near)}" if near else ""
    raise UnknownLanguageError(f"eSpeak NG speaks no language {query!r} (ISO 639-3 or name){hint}")
