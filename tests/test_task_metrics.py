"""POS accuracy, entity F1 and attachment scores: hand-made cases, and agreement with seqeval."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2 as SCHEME

from madg_speech.errors import DataError
from madg_speech.metrics.parsing import Tree, align_words, attachment
from madg_speech.metrics.tagging import entity_f1, find_entities, tag_accuracy
from madg_speech.metrics.tally import Tally, add_up
from madg_speech.tasks.labels import IOB2, RELATIONS, UPOS


def test_inventories_have_the_published_sizes() -> None:
    assert (len(UPOS), len(RELATIONS)) == (17, 37)
    assert len(set(RELATIONS)) == 37 and list(RELATIONS) == sorted(RELATIONS)


def test_tallies_of_sentences_add_up_to_the_accuracy_over_words() -> None:
    one = tag_accuracy(["NOUN", "VERB"], ["NOUN", "NOUN"])
    two = tag_accuracy(["DET"], ["DET"])
    assert add_up([one, two]).score == pytest.approx(2 / 3)
    assert Tally(0, 0).score is None
    with pytest.raises(DataError, match="1 tags for a sentence of 2 words"):
        tag_accuracy(["NOUN", "VERB"], ["NOUN"])


def test_an_entity_needs_its_beginning() -> None:
    assert find_entities(["I-PER", "B-PER", "I-LOC", "B-LOC", "I-LOC"]) == [
        (1, 1, "PER"),
        (3, 4, "LOC"),
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.tuples(*[st.sampled_from(IOB2)] * 2), min_size=1), min_size=1))
def test_entity_f1_is_that_of_seqeval(sentences: list[list[tuple[str, str]]]) -> None:
    gold, found = ([[pair[side] for pair in s] for s in sentences] for side in (0, 1))
    ours = add_up(entity_f1(a, b) for a, b in zip(gold, found, strict=True)).score or 0.0
    if not any(tag.startswith("B") for tags in gold + found for tag in tags):
        return  # seqeval cannot name the types of no entity
    theirs = f1_score(gold, found, mode="strict", scheme=SCHEME, zero_division=0)
    assert ours == pytest.approx(theirs)


GOLD = Tree(("a", "b", "c"), (2, 0, 2), ("det", "root", "nmod:poss"))


def test_subtypes_do_not_count_and_a_wrong_head_is_wrong_in_both() -> None:
    found = attachment(GOLD, Tree(GOLD.words, (2, 0, 2), ("det", "root", "nmod:tmod")))
    assert (found.uas.score, found.las.score) == (1, 1)
    found = attachment(GOLD, Tree(GOLD.words, (3, 0, 2), ("det", "root", "obj")))
    assert found.uas.score == pytest.approx(2 / 3) and found.las.score == pytest.approx(1 / 3)


# "vamonos ya": vamos nos / ya, and readings of it with other words
MULTIWORD = Tree(("vamos", "nos", "ya"), (0, 1, 1), ("root", "obj", "advmod"), ((1, 2, "vamonos"),))


def test_the_words_of_a_multiword_token_are_scored_and_not_the_token() -> None:
    assert attachment(MULTIWORD, MULTIWORD).las == Tally(0, 6)


def test_a_multiword_token_taken_for_one_word_loses_its_words() -> None:
    whole = Tree(("vamonos", "ya"), (0, 1), ("root", "advmod"))
    # only "ya" is aligned, and its head is not: 0 correct of 3 gold and 2 system words
    assert align_words(MULTIWORD, whole) == [(2, 1)]
    assert attachment(MULTIWORD, whole).uas == Tally(5, 5)


def test_words_inside_a_multiword_token_align_by_their_longest_common_subsequence() -> None:
    other = Tree(
        ("Vamos", "no", "s", "ya"),
        (0, 1, 1, 1),
        ("root", "obj", "obj", "advmod"),
        ((1, 3, "vamonos"),),
    )
    assert align_words(MULTIWORD, other) == [(0, 0), (2, 3)]
    # 2 correct of 3 and 4 words
    assert attachment(MULTIWORD, other).las.score == pytest.approx(2 * 2 / 7)


def test_plain_words_align_by_the_characters_they_cover() -> None:
    other = Tree(("ab", "c"), (0, 1), ("root", "nmod"))
    assert align_words(GOLD, other) == [(2, 1)]
    with pytest.raises(DataError, match="other characters"):
        align_words(GOLD, Tree(("x",), (0,), ("root",)))
