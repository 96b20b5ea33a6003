"""Transcripts as text: one function a format, each returns what a file holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a transcript is costs an import of torch; how it is written does not
    from madg_speech.transcribe import Transcript


class Format(StrEnum):
    """What may be asked for; also the suffix of a file so written."""

    txt = "txt"
    json = "json"


def to_txt(transcript: Transcript) -> str:
    """The text on one line."""
    return transcript.text + "\n"


def to_json(transcript: Transcript) -> str:
    """One object on one line: file, language, adapter, script, seconds, text, segments.

    ``segments`` are objects of start and end (seconds) and text; ``script`` is ``romanized``.
    """
    fields = {
        "file": str(transcript.source),
        "language": transcript.language,
        "adapter": transcript.adapter,
        "script": transcript.script,
        "seconds": transcript.seconds,
        "text": transcript.text,
        "segments": [asdict(segment) for segment in transcript.segments],
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


WRITERS: dict[Format, Callable[[Transcript], str]] = {Format.txt: to_txt, Format.json: to_json}
