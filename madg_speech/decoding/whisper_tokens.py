"""What Whisper's decoder reads and writes: text in its own tokens, and those that steer it.

Radford et al. 2022 (arXiv 2212.04356), section 2.3: a transcript is begun by a start token, the
language, the task and a token that asks for no time stamps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import regex

from madg_speech.backbones.weights import backbone_folder
from madg_speech.errors import BackboneError, UnknownLanguageError
from madg_speech.languages import resolve
from madg_speech.transcript import UNSPACED

GENERATION = "generation_config.json"
LONGEST = 224  # tokens of text in a window: half of the decoder's positions, as in openai/whisper
_RENAMED = {"jw": "jav"}  # an old code of Javanese that Whisper kept


@dataclass(frozen=True)
class WhisperTokens:
    """A Whisper's tokenizer and the tokens that its generation settings name.

    Attributes:
        tokenizer: of transformers.
        languages: ISO 639-3 code -> token.
        start: begins every transcript.
        task: asks for a transcript in the language itself.
        no_times: asks for no time stamps.
        end: ends every transcript.
        never: tokens that must not be chosen.
        never_first: nor these as the first of a transcript.
    """

    tokenizer: Any
    languages: Mapping[str, int]
    start: int
    task: int
    no_times: int
    end: int
    never: tuple[int, ...] = ()
    never_first: tuple[int, ...] = ()
    kind: ClassVar[str] = "whisper"

    @classmethod
    def load(cls, name: str, revision: str | None = None) -> WhisperTokens:
        """Read tokenizer and settings of a backbone.

        Args:
            name: hub id or folder.
            revision: commit or tag on the hub.

        Raises:
            BackboneError: not found, no tokenizer, or no language tokens (an English-only Whisper).
        """
        from transformers import WhisperTokenizerFast

        folder = backbone_folder(name, revision)
        named = language_tokens(folder)
        if not named:
            raise BackboneError(
                f"{folder / GENERATION} names no languages (lang_to_id): the decoder of a multilingual "
                "Whisper is needed"
            )
        # Where there is none, transformers makes an empty one.
        if not any((folder / file).is_file() for file in ("tokenizer.json", "vocab.json")):
            raise BackboneError(f"{folder} has no tokenizer: it lacks tokenizer.json")
        settings = json.loads((folder / GENERATION).read_text(encoding="utf-8"))
        try:
            return cls(
                WhisperTokenizerFast.from_pretrained(folder),
                named,
                settings["decoder_start_token_id"],
                settings["task_to_id"]["transcribe"],
                settings["no_timestamps_token_id"],
                settings["eos_token_id"],
                tuple(settings.get("suppress_tokens") or ()),
                tuple(settings.get("begin_suppress_tokens") or ()),
            )
        except KeyError as missing:
            raise BackboneError(f"{folder / GENERATION} does not say {missing}") from None

    @property
    def symbols(self) -> tuple[str, ...]:
        """All tokens, in the order of their numbers."""
        numbers = self.tokenizer.get_vocab()
        return tuple(sorted(numbers, key=numbers.__getitem__))

    def transcripts(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[str]:
        """Texts as Whisper writes them: in their own script; a space goes ahead where words have them."""
        squeezed = [" ".join(text.split()) for text in texts]
        return [
            text if not text or regex.match(UNSPACED, text) else f" {text}" for text in squeezed
        ]

    def encode(self, text: str) -> list[int]:
        """Tokens of a transcript, its end included; none for no text."""
        if not text:
            return []
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a transcript, without spaces at its ends."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.strip()


def language_tokens(folder: Path) -> dict[str, int]:
    """ISO 639-3 code -> token of the languages in the folder's generation settings; perhaps none."""
    path = folder / GENERATION
    named = json.loads(path.read_text("utf-8")).get("lang_to_id") if path.is_file() else None
    tokens: dict[str, int] = {}
    for token, index in (named or {}).items():
        code = token.strip("<|>")
        try:
            tokens.setdefault(resolve(_RENAMED.get(code, code)).iso, index)
        except UnknownLanguageError:
            continue
    return tokens
