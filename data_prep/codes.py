"""The language codes of a corpus as ISO 639-3, each looked up once; what is doubtful is noted."""

from __future__ import annotations

from madg_speech.errors import UnknownLanguageError
from madg_speech.languages import resolve


class Codes:
    """Codes of one corpus.

    Attributes:
        notes: macrolanguages for which one language was taken, codes that are none, and codes that
            are written as one language.

    Args:
        codes: those that ``resolve`` would take for another language, or for none.
        langs: the languages wanted; all if empty. UnknownLanguageError for one that is none.
    """

    def __init__(self, codes: dict[str, str], langs: tuple[str, ...]) -> None:
        self._codes = codes
        self._found: dict[str, str | None] = {}
        self.notes: list[str] = []
        self._wanted = frozenset(self._iso(lang) for lang in langs)

    def wanted(self, code: str) -> bool:
        """Whether rows of this code are asked for; an unknown one is, so that it gets counted."""
        iso = self.iso(code)
        return not self._wanted or iso is None or iso in self._wanted

    def iso(self, code: str) -> str | None:
        """None for a code that is no language with a URIEL entry."""
        if code not in self._found:
            try:
                self._found[code] = self._iso(code)
            except UnknownLanguageError as error:
                self._found[code] = None
                self.notes.append(f"language {code!r} of the corpus is left out: {error}")
            self._note_shared(code)
        return self._found[code]

    def _iso(self, code: str) -> str:
        return resolve(self._codes.get(code, code), self.notes.append).iso

    def _note_shared(self, code: str) -> None:
        iso = self._found[code]
        same = [other for other, found in self._found.items() if found == iso and other != code]
        if iso and same:
            self.notes.append(f"{same[0]} and {code} of the corpus are both written as {iso}")
