"""Unlabelled and labelled attachment scores as the CoNLL 2018 shared task defines them.

Zeman et al. 2018 (aclanthology.org/K18-2001, section 4; conll18_ud_eval): syntactic words are scored,
so the parts of a multiword token and not the token; empty nodes do not count; of a relation only the
universal part before the colon does. Words of the two sides are aligned by the characters they cover
(white space aside); where either side has a multiword token, the words inside the span that it and all
multiword tokens overlapping it cover are aligned by the longest common subsequence of their forms, case
aside. The score is the F1 of correct words; with gold words on both sides it is plain accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from madg_speech.errors import DataError
from madg_speech.metrics.tally import Tally

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed sentence.

    Attributes:
        words: forms of its W syntactic words.
        heads: number of each word's head, counted from 1; 0 for the root.
        relations: of each word to its head.
        multiword: first and last word (from 1) and surface form of each multiword token.
    """

    words: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    multiword: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """Unlabelled (uas) and labelled (las) attachment of one sentence."""

    uas: Tally
    las: Tally


def attachment(expected: Tree, predicted: Tree) -> Attachment:
    """Score one sentence; add the tallies up over a corpus.

    Raises:
        DataError: the two sentences do not cover the same characters.
    """
    aligned = dict(align_words(expected, predicted))
    pairs = {0: 0} | {a + 1: b + 1 for a, b in aligned.items()}
    heads = labelled = 0
    for a, b in aligned.items():
        if pairs.get(expected.heads[a]) == predicted.heads[b]:
            heads += 1
            labelled += universal(expected.relations[a]) == universal(predicted.relations[b])
    sizes = len(expected.words), len(predicted.words)
    return Attachment(Tally.of_f1(heads, *sizes), Tally.of_f1(labelled, *sizes))


def universal(relation: str) -> str:
    """A relation without its subtype: ``nmod`` of ``nmod:poss``."""
    return relation.partition(":")[0]


def align_words(expected: Tree, predicted: Tree) -> list[tuple[int, int]]:
    """Places (from 0) of words of the two that are the same word.

    Raises:
        DataError: the two sentences do not cover the same characters.
    """
    if expected.words == predicted.words and expected.multiword == predicted.multiword:
        return [(place, place) for place in range(len(expected.words))]
    sides = _cover(expected), _cover(predicted)
    if sides[0].text != sides[1].text:
        raise DataError(
            f"sentences of other characters cannot be compared: {' '.join(expected.words)!r} and "
            f"{' '.join(predicted.words)!r}"
        )
    regions = _merge(span for side in sides for span in side.multiword)
    found = []
    for start, end in regions:
        ours, theirs = (
            [i for i, (a, b) in enumerate(side.spans) if start <= a and b <= end] for side in sides
        )
        pairs = _common([expected.words[i] for i in ours], [predicted.words[i] for i in theirs])
        found += [(ours[a], theirs[b]) for a, b in pairs]
    apart, others = (
        {span: i for i, span in enumerate(side.spans) if not _touches(span, regions)}
        for side in sides
    )
    found += [(i, others[span]) for span, i in apart.items() if span in others]
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Cover:
    text: str  # of the tokens, without white space
    spans: list[Span]  # characters of each word's token
    multiword: list[Span]


def _cover(tree: Tree) -> _Cover:
    parts = {first: (last, form) for first, last, form in tree.multiword}
    text, number = "", 1
    spans: list[Span] = []
    multiword: list[Span] = []
    while number <= len(tree.words):
        last, form = parts.get(number, (number, tree.words[number - 1]))
        span = (len(text), len(text) + len("".join(form.split())))
        text += "".join(form.split())
        spans += [span] * (last - number + 1)
        if number in parts:
            multiword.append(span)
        number = last + 1
    return _Cover(text, spans, multiword)


def _merge(spans: Iterable[Span]) -> list[Span]:
    """Spans of multiword tokens, those that overlap made one."""
    regions: list[Span] = []
    for start, end in sorted(spans):
        if regions and start < regions[-1][1]:
            regions[-1] = (regions[-1][0], max(end, regions[-1][1]))
        else:
            regions.append((start, end))
    return regions


def _touches(span: Span, regions: Sequence[Span]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in regions)


def _common(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Longest common subsequence of forms, case aside; the earliest matches where several are."""
    a, b = [w.lower() for w in ours], [w.lower() for w in theirs]
    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            same = longest[i + 1][j + 1] + 1 if a[i] == b[j] else 0
            longest[i][j] = max(same, longest[i + 1][j], longest[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
