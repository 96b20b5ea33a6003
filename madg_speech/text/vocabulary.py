"""The symbols that a CTC head emits, and what it is trained to emit for a manifest's text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

from madg_speech.cache import atomic_path
from madg_speech.errors import CheckpointError
from madg_speech.text.normalize import normalize
from madg_speech.text.romanize import ALPHABET, romanize_many

BLANK = "<blank>"


@dataclass(frozen=True)
class Vocabulary:
    """``symbols[i]`` is what output ``i`` stands for; output 0 is the CTC blank.

    ``kind`` says how text becomes symbols: ``romanized`` (uroman, shared by all languages) or
    ``phones`` (IPA segments by eSpeak NG, shared by the languages that it speaks).
    """

    kind: str
    symbols: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.symbols or self.symbols[0] != BLANK:
            raise ValueError(f"the first symbol of a vocabulary must be {BLANK!r}")
        if wrong := [symbol for symbol in self.symbols[1:] if len(symbol) != 1]:
            raise ValueError(f"symbols after the blank must be single characters, not {wrong}")
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("a vocabulary must not hold a symbol twice")
        ids = {symbol: index for index, symbol in enumerate(self.symbols) if index}
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def romanized(cls) -> Vocabulary:
        """Blank, space, apostrophe, a to z: 29 symbols."""
        return cls("romanized", (BLANK, " ", "'", *ALPHABET))

    @classmethod
    def phones(cls) -> Vocabulary:
        """Blank, space, and the segments of :data:`madg_speech.text.phones.PHONES`."""
        from madg_speech.text.phones import PHONES

        return cls("phones", (BLANK, " ", *PHONES))

    @classmethod
    def of_kind(cls, kind: str) -> Vocabulary:
        """The vocabulary that a configuration names."""
        return cls.phones() if kind == "phones" else cls.romanized()

    @property
    def blank(self) -> int:
        """The index of the CTC blank, always 0."""
        return 0

    @property
    def size(self) -> int:
        """The number of outputs, blank included."""
        return len(self.symbols)

    def transcript(self, text: str, lang: str | None = None) -> str:
        """What the model learns to emit for a manifest's ``text`` in ``lang`` (ISO 639-3).

        Raises:
            ValueError: the vocabulary is of a kind that this version cannot spell.
        """
        (spelt,) = self.transcripts([text], [lang])
        return spelt

    def transcripts(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[str]:
        """:meth:`transcript` of many texts: far faster for phones, empty where nothing can be said.

        Raises:
            ValueError: as :meth:`transcript`.
            BackboneError: phones without eSpeak NG.
        """
        if self.kind == "phones":
            from madg_speech.text.phones import phonemize_many

            return phonemize_many(texts, langs)
        if self.kind != "romanized":
            raise ValueError(f"vocabulary kind {self.kind!r} is unknown; known: romanized, phones")
        return romanize_many(map(normalize, texts), langs)

    def encode(self, text: str) -> list[int]:
        """Indices of ``text``, a character each.

        Raises:
            ValueError: a character is not in the vocabulary; names it.
        """
        try:
            return [self._ids[char] for char in text]
        except KeyError as error:
            char = error.args[0]
            raise ValueError(
                f"character {char!r} (U+{ord(char):04X}) of {text!r} is not in the {self.kind} "
                "vocabulary; spell the text with transcript() first"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Text of a CTC path, one index per frame: repeats collapse, then blanks go."""
        return "".join(self.symbols[index] for index, _ in groupby(ids) if index != self.blank)

    def save(self, path: Path | str) -> None:
        """Write ``{"kind": ..., "symbols": [...]}``."""
        fields = {"kind": self.kind, "symbols": self.symbols}
        with atomic_path(Path(path)) as draft:
            draft.write_text(json.dumps(fields, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Vocabulary:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: the file is missing or no vocabulary.
        """
        try:
            fields = json.loads(Path(path).read_text("utf-8"))
            kind, symbols = fields["kind"], fields["symbols"]
            if not isinstance(kind, str) or not all(isinstance(item, str) for item in symbols):
                raise TypeError("kind and symbols must be strings")
            return cls(kind, tuple(symbols))
        except FileNotFoundError:
            raise CheckpointError(f"vocabulary not found: {path}") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f'{path}: not a vocabulary ({error}); expected {{"kind": ..., "symbols": [...]}}'
            ) from None


def ctc_frames_needed(ids: Sequence[int]) -> int:
    """The fewest frames on which CTC can emit ``ids``: one each, and a blank between equal ones."""
    return len(ids) + sum(left == right for left, right in pairwise(ids))
