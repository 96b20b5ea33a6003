"""Sentences through a task model in batches of like length, and how far its answers are from the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from madg_speech.adapters import AdapterWeights
from madg_speech.data.sentence import Sentence
from madg_speech.metrics.parsing import Tree, attachment
from madg_speech.metrics.tagging import entity_f1, tag_accuracy
from madg_speech.metrics.tally import Tally
from madg_speech.tasks.labels import Task
from madg_speech.tasks.model import TaskModel

METRICS: dict[Task, tuple[str, ...]] = {
    "pos": ("accuracy",),
    "ner": ("f1",),
    "parse": ("las", "uas"),
}
"""The metrics of each task, the one that decides first."""


def annotate(
    model: TaskModel,
    sentences: Sequence[Sentence],
    language: str | None,
    adapter: AdapterWeights | None = None,
    advance: Callable[[int], None] = lambda done: None,
    words_per_batch: int = 1000,
) -> list[Sentence]:
    """The sentences with the model's tags or trees in place of their own, in the order given.

    Args:
        model: in evaluation mode.
        sentences: at least one word each.
        language: whose language adapter they get (ISO 639-3); None for none.
        adapter: weights of one language in its place.
        advance: called with the number of sentences done, for a progress bar.
        words_per_batch: sentences x words of the longest.
    """
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i].words))
    found: dict[int, Sentence] = {}
    batch: list[int] = []
    for place, number in enumerate(order):
        batch.append(number)
        following = order[place + 1] if place + 1 < len(order) else None
        if (
            following is None
            or (len(batch) + 1) * len(sentences[following].words) > words_per_batch
        ):
            words = [sentences[i].words for i in batch]
            answers = model.predict(words, [language] * len(batch), adapter)
            for i, answer in zip(batch, answers, strict=True):
                found[i] = _with_answer(sentences[i], answer)
            advance(len(batch))
            batch = []
    return [found[i] for i in range(len(sentences))]


def _with_answer(sentence: Sentence, answer: dict[str, tuple[str, ...]]) -> Sentence:
    if "tags" in answer:
        return Sentence(sentence.place, sentence.words, answer["tags"])
    multiword = sentence.tree.multiword if sentence.tree else ()
    heads = tuple(int(head) for head in answer["heads"])
    tree = Tree(sentence.words, heads, answer["relations"], multiword)
    return Sentence(sentence.place, sentence.words, None, tree)


def score(task: Task, expected: Sentence, predicted: Sentence) -> dict[str, Tally]:
    """Metric -> tally of one sentence, for the metrics of ``METRICS``."""
    if task == "parse":
        assert expected.tree is not None and predicted.tree is not None
        attached = attachment(expected.tree, predicted.tree)
        return {"las": attached.las, "uas": attached.uas}
    assert expected.tags is not None and predicted.tags is not None
    if task == "ner":
        return {"f1": entity_f1(expected.tags, predicted.tags)}
    return {"accuracy": tag_accuracy(expected.tags, predicted.tags)}


def name_long(
    model: TaskModel, sentences: Sequence[Sentence]
) -> tuple[list[str], list[tuple[str, str]]]:
    """What is longer than the encoder takes.

    Returns:
        Places of sentences that it reads in several windows; places and words of which it reads only
        the beginning.
    """
    if not sentences:
        return [], []
    pieces = model.language.backbone.tokenizer.encode_words([s.words for s in sentences])
    places = {word: s.place for s in sentences for word in set(s.words) & set(pieces.cut)}
    cut = [(places[word], word) for word in pieces.cut]
    return [sentences[number].place for number in pieces.split], cut
