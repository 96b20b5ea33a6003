"""Character, phone and word error rate, per utterance and pooled over utterances (jiwer)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jiwer

from madg_speech.errors import DataError


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edit counts summed over utterances; ``length`` is the number of reference units."""

    substitutions: int
    deletions: int
    insertions: int
    length: int

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference unit; over 1 where there are many insertions."""
        return self.errors / self.length


def cer(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRate:
    """Character error rate: all errors over all reference characters, spaces counted as characters.

    A character is a Unicode code point; texts are compared as given, so normalise both before.

    Raises:
        DataError: no utterance, unequal numbers, or an empty reference (nothing to divide by).
    """
    _check(references, hypotheses)
    # jiwer strips the ends by default: a space more or less there is an error like any other.
    split = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])
    return _counts(jiwer.process_characters(list(references), list(hypotheses), split, split))


def per(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRate:
    """Phone error rate of texts in which a phone is one character; spaces do not count.

    Raises:
        DataError: as ``cer``.
    """
    return cer(*([text.replace(" ", "") for text in side] for side in (references, hypotheses)))


def wer(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRate:
    """Word error rate: all errors over all reference words; words are what white space divides.

    Raises:
        DataError: no utterance, unequal numbers, or an empty reference (nothing to divide by).
    """
    _check(references, hypotheses)
    return _counts(jiwer.process_words(list(references), list(hypotheses)))


def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorRate]:
    """``cer`` of each utterance by itself.

    Raises:
        DataError: as ``cer``.
    """
    _check(references, hypotheses)
    split = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])
    return _each(jiwer.process_characters(list(references), list(hypotheses), split, split))


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorRate]:
    """``wer`` of each utterance by itself.

    Raises:
        DataError: as ``wer``.
    """
    _check(references, hypotheses)
    return _each(jiwer.process_words(list(references), list(hypotheses)))


def pool(scores: Iterable[ErrorRate]) -> ErrorRate:
    """Counts added up."""
    scores = list(scores)
    return ErrorRate(
        sum(score.substitutions for score in scores),
        sum(score.deletions for score in scores),
        sum(score.insertions for score in scores),
        sum(score.length for score in scores),
    )


def macro_mean(per_language: Mapping[str, ErrorRate]) -> float:
    """The mean of the languages' rates, each language counted once.

    Raises:
        DataError: no language.
    """
    if not per_language:
        raise DataError("no language to average over")
    return sum(score.rate for score in per_language.values()) / len(per_language)


def _check(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise TypeError("expected lists of texts, one per utterance, not one text")
    if len(references) != len(hypotheses):
        raise DataError(f"{len(references)} references but {len(hypotheses)} hypotheses")
    if not references:
        raise DataError("no utterance to score")
    empty = [index for index, text in enumerate(references) if not text.strip()]
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise DataError(
            f"{len(empty)} of {len(references)} references are empty (index {shown}): an error "
            "rate needs something to compare with; remove these utterances, or normalise less"
        )


def _counts(output: jiwer.CharacterOutput | jiwer.WordOutput) -> ErrorRate:
    return ErrorRate(
        output.substitutions,
        output.deletions,
        output.insertions,
        output.hits + output.substitutions + output.deletions,
    )


def _each(output: jiwer.CharacterOutput | jiwer.WordOutput) -> list[ErrorRate]:
    scores = []
    for reference, chunks in zip(output.references, output.alignments, strict=True):
        edits = {"substitute": 0, "delete": 0, "insert": 0, "equal": 0}
        for chunk in chunks:
            edits[chunk.type] += max(
                chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
            )
        scores.append(
            ErrorRate(edits["substitute"], edits["delete"], edits["insert"], len(reference))
        )
    return scores
