"""POS accuracy and entity F1.

Entities follow the IOB2 scheme as seqeval's strict mode reads it (``seqeval`` with ``mode="strict",
scheme=IOB2``): an entity begins with ``B-X`` and goes on while ``I-X`` of the same type follows; an
``I-X`` without such a beginning is no entity. One is correct if both boundaries and the type are.
"""

from __future__ import annotations

from collections.abc import Sequence

from madg_speech.errors import DataError
from madg_speech.metrics.tally import Tally

Entity = tuple[int, int, str]


def tag_accuracy(expected: Sequence[str], predicted: Sequence[str]) -> Tally:
    """Words of one sentence whose tag differs.

    Raises:
        DataError: not as many tags as words.
    """
    _check(expected, predicted)
    wrong = sum(a != b for a, b in zip(expected, predicted, strict=True))
    return Tally(wrong, len(expected))


def entity_f1(expected: Sequence[str], predicted: Sequence[str]) -> Tally:
    """Strict IOB2 entity F1 of one sentence, to be added up over a corpus (micro-average).

    Raises:
        DataError: not as many tags as words.
    """
    _check(expected, predicted)
    gold, found = set(find_entities(expected)), set(find_entities(predicted))
    return Tally.of_f1(len(gold & found), len(gold), len(found))


def find_entities(tags: Sequence[str]) -> list[Entity]:
    """First word, last word and type of each entity in IOB2 tags, in order."""
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        begin, _, kind = tag.partition("-")
        if begin == "B":
            found.append((place, place, kind))
        elif begin == "I" and found and found[-1][1:] == (place - 1, kind):
            found[-1] = (found[-1][0], place, kind)
    return found


def _check(expected: Sequence[str], predicted: Sequence[str]) -> None:
    if len(expected) != len(predicted):
        raise DataError(f"{len(predicted)} tags for a sentence of {len(expected)} words")
