"""Transcripts as text: one function a format, each returns what a file holds.

The conventions are those of openai-whisper's files: txt is a segment a line; tsv has a header and
whole milliseconds; srt counts from 1 and has decimal commas; vtt has decimal points.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum

from madg_speech.subtitles import cut_cues
from madg_speech.transcript import Segment, Transcript


class Format(StrEnum):
    """What may be asked for; also the suffix of a file so written, ``all`` apart."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    tsv = "tsv"
    json = "json"
    all = "all"

    @property
    def kinds(self) -> list[Format]:
        """The formats it stands for."""
        return [*WRITERS] if self is Format.all else [self]


def to_txt(transcript: Transcript) -> str:
    """A segment a line."""
    return "".join(segment.text + "\n" for segment in transcript.segments if segment.words)


def to_srt(transcript: Transcript) -> str:
    """SubRip: numbered cues of at most two lines."""
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_cue_text(cue.lines)}\n\n"
        for number, cue in enumerate(cut_cues(transcript.words), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    """WebVTT (W3C): cues of at most two lines, ``&`` and ``<`` escaped."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        f"{html.escape(_cue_text(cue.lines), quote=False)}\n\n"
        for cue in cut_cues(transcript.words)
    )


def to_tsv(transcript: Transcript) -> str:
    """Header ``start end text``, then a segment a line, times in milliseconds."""
    rows = (
        f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{segment.text}\n"
        for segment in transcript.segments
        if segment.words
    )
    return "start\tend\ttext\n" + "".join(rows)


def to_json(transcript: Transcript) -> str:
    """One object on one line: file, language, adapter, script, seconds, text, segments.

    ``segments`` are objects of start and end (seconds), text, and words (start, end, word,
    probability); ``script`` is ``romanized`` or ``native``. Where the language was chosen among
    several, ``language_scores`` has the score of each.
    """
    fields = {
        "file": str(transcript.source),
        "language": transcript.language,
        "adapter": transcript.adapter,
        "script": transcript.script,
        "seconds": transcript.seconds,
        "text": transcript.text,
        "segments": [_segment_fields(segment) for segment in transcript.segments],
    }
    if transcript.scores:
        fields["language_scores"] = dict(transcript.scores)
    return json.dumps(fields, ensure_ascii=False) + "\n"


WRITERS: dict[Format, Callable[[Transcript], str]] = {
    Format.txt: to_txt,
    Format.srt: to_srt,
    Format.vtt: to_vtt,
    Format.tsv: to_tsv,
    Format.json: to_json,
}


def _segment_fields(segment: Segment) -> dict[str, object]:
    words = []
    for word in segment.words:
        fields = asdict(word)
        fields["word"] = fields.pop("text")
        words.append(fields)
    return {"start": segment.start, "end": segment.end, "text": segment.text, "words": words}


def _cue_text(lines: tuple[str, ...]) -> str:
    return "\n".join(lines).replace("-->", "->")  # an arrow would end the cue


def _clock(seconds: float, point: str) -> str:
    """``hh:mm:ss,mmm``."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{point}{milliseconds:03d}"
