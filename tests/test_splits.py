"""Groups, near-duplicates, leaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from madg_speech.splits import (
    canonical,
    clade_of,
    find_leaks,
    known_to_backbone,
    near_duplicates,
    training_group,
)


@pytest.mark.parametrize(
    ("language", "trained", "group"),
    [
        ("deu", ["deu"], "trained"),
        ("swh", ["swa"], "trained"),  # the macrolanguage stands for it
        ("nld", ["deu"], "clade"),
        ("hin", ["deu"], "family"),
        ("fin", ["deu", "swh"], "unrelated"),
        ("eus", ["deu"], "unrelated"),  # an isolate
        ("fin", [], "unrelated"),
        ("xx-none", ["deu"], "unrelated"),
    ],
)
def test_training_group(language: str, trained: list[str], group: str) -> None:
    assert training_group(language, trained) == group


def test_isolates_are_clades_of_their_own() -> None:
    assert clade_of("eus") != clade_of("kor")
    assert clade_of("deu") == clade_of("nld")
    assert canonical("no such code") == "no such code"


def test_near_duplicates_by_vector() -> None:
    assert [n.iso for n in near_duplicates("bos", ["srp", "fin"])] == ["srp"]
    assert near_duplicates("fin", ["fin", "swh"]) == []


def test_known_to_backbone() -> None:
    assert known_to_backbone("swh", "openai/whisper-base") is True
    assert known_to_backbone("chr", "openai/whisper-base") is False
    assert known_to_backbone("chr", "some/model") is None


def test_leaks_are_near_whole_training_texts() -> None:
    training = ["germania", "to the left of the house", "ab"]
    evaluation = {
        "same": "germania",
        "one letter": "germanya",
        "fifth": "to the right of the house",  # 4 edits in 25 characters
        "far": "somewhere else entirely",
        "within": "germania is to the left",
        "short": "abc",
        "empty": "",
    }
    leaks = find_leaks(evaluation, training)
    assert set(leaks) == {"same", "one letter", "fifth", "short"}
    assert leaks["one letter"].text == "germania" and leaks["one letter"].distance == 1


@given(
    st.lists(st.text("abc", max_size=9), max_size=6),
    st.lists(st.text("abc", max_size=9), max_size=6),
)
@settings(deadline=None)
def test_leaks_equal_the_definition(evaluation: list[str], training: list[str]) -> None:
    texts = {str(i): text for i, text in enumerate(evaluation)}
    found = find_leaks(texts, training)
    for name, text in texts.items():
        distances = [Levenshtein.distance(text, other) for other in training if other]
        least = min(distances, default=99)
        leaked = bool(text) and (least <= 1 or least <= 0.2 * len(text))
        assert (name in found) == leaked
        assert not leaked or found[name].distance == least
