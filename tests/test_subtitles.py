from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.subtitles import LINE, SECONDS, cut_cues
from madg_speech.transcript import Segment, Transcript, Word, join_words
from madg_speech.writers import Format, to_srt, to_tsv, to_txt, to_vtt


def spoken(*timed: tuple[float, float, str]) -> tuple[Word, ...]:
    return tuple(Word(start, end, text, 0.5) for start, end, text in timed)


def transcript(*segments: tuple[Word, ...]) -> Transcript:
    held = tuple(Segment(s[0].start, s[-1].end, s) for s in segments)
    return Transcript(Path("a.wav"), "swh", "swh", "romanized", 5000.0, held)


TALK = transcript(
    spoken((0.5, 0.9, "habari"), (1.0, 1.42, "<gani>")), spoken((3725.0, 3726.0337, "a-->b"))
)


def test_srt() -> None:
    assert to_srt(TALK) == (
        "1\n00:00:00,500 --> 00:00:01,420\nhabari <gani>\n\n"
        "2\n01:02:05,000 --> 01:02:06,034\na->b\n\n"
    )


def test_vtt() -> None:
    assert to_vtt(TALK) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.420\nhabari &lt;gani&gt;\n\n"
        "01:02:05.000 --> 01:02:06.034\na-&gt;b\n\n"
    )


def test_tsv_is_in_milliseconds() -> None:
    rows = "500\t1420\thabari <gani>\n3725000\t3726034\ta-->b\n"
    assert to_tsv(TALK) == "start\tend\ttext\n" + rows


def test_txt_is_a_segment_a_line() -> None:
    assert to_txt(TALK) == "habari <gani>\na-->b\n"


def test_all_stands_for_each() -> None:
    assert [str(kind) for kind in Format.all.kinds] == ["txt", "srt", "vtt", "tsv", "json"]
    assert Format.srt.kinds == [Format.srt]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.floats(0.02, 2), st.text("abc", min_size=1, max_size=60)),
        max_size=30,
    )
)
def test_cues_hold_all_words_in_readable_lines(parts: list[tuple[float, float, str]]) -> None:
    words, clock = [], 0.0
    for gap, length, text in parts:
        words.append(Word(clock + gap, clock + gap + length, text, 1.0))
        clock = words[-1].end
    cues = list(cut_cues(words))
    letters = "".join(line for cue in cues for line in cue.lines).replace(" ", "")
    assert letters == "".join(word.text for word in words)
    for cue in cues:
        assert len(cue.lines) <= 2
        assert all(len(line) <= LINE for line in cue.lines)
        assert 0 < cue.end - cue.start <= SECONDS + 1e-6
    assert all(a.end <= b.start for a, b in pairwise(cues))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["我", "爱", "语言"], "我爱语言"),
        (["한국", "말"], "한국 말"),
        (["ภาษา", "ไทย", "ok", "ค่ะ"], "ภาษาไทย ok ค่ะ"),
        ([], ""),
    ],
)
def test_no_spaces_in_scripts_without(words: list[str], text: str) -> None:
    assert join_words(words) == text
