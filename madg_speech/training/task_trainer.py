"""The same Trainer for tasks: sentences in, the head's loss, dev scores of the source languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader
from transformers import TrainingArguments

from madg_speech.data.annotate import METRICS, annotate, score
from madg_speech.data.sentence import Sentence
from madg_speech.data.turns import Turns
from madg_speech.metrics.tally import add_up
from madg_speech.tasks.conditions import Condition
from madg_speech.tasks.model import TaskModel
from madg_speech.tasks.tagging import pad_labels
from madg_speech.training.trainer import AdapterTrainer

Row = tuple[Sentence, str]  # and its language


@dataclass(frozen=True)
class TaskCollator:
    """Sentences -> ``words``, ``languages`` whose adapters they get, and padded ``labels``."""

    model: TaskModel
    condition: Condition

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Make a batch."""
        encode: Any = self.model.head.encode
        parse = self.model.spec.task == "parse"
        return {
            "words": [sentence.words for sentence, _ in rows],
            "languages": [self.condition.code(language) for _, language in rows],
            "labels": pad_labels([encode(s.tree if parse else s.tags) for s, _ in rows]),
        }


class TaskTrainer(AdapterTrainer):
    """Trains task adapter and head of a :class:`TaskModel`; saves and resumes as speech runs do.

    Args:
        model: its language part is frozen.
        args: what the Trainer is told.
        plan: batches of ``train``.
        train: sentences with their languages.
        dev: sentences of each language to choose the best checkpoint by.
        condition: whose language adapter a sentence gets.
    """

    def __init__(
        self,
        model: TaskModel,
        args: TrainingArguments,
        plan: Turns,
        train: Sequence[Row],
        dev: Mapping[str, Sequence[Sentence]],
        condition: Condition,
    ):
        super().__init__(
            model,
            args,
            data_collator=TaskCollator(model, condition),
            train_dataset=train,
            eval_dataset=dev or None,
        )
        self.turns = plan
        self.condition = condition

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan; Accelerate gives each rank every n-th."""
        return self.loader(self.train_dataset, self.turns)

    def dev_metrics(self, model: TaskModel) -> dict[str, float]:
        """``error``: what the deciding metric lacks of 1, mean over the source languages."""
        scores = dev_scores(model, self.eval_dataset, self.condition)
        return {"error": 1 - sum(scores.values()) / len(scores)}


def dev_scores(
    model: TaskModel, dev: Mapping[str, Sequence[Sentence]], condition: Condition
) -> dict[str, float]:
    """The deciding metric (``METRICS``) of each language, 0 where there was nothing to score."""
    task = model.spec.task
    metric = METRICS[task][0]
    scores = {}
    for language, sentences in dev.items():
        code, weights = condition.code(language), condition.weights(language)
        answers = annotate(model, sentences, code, weights)
        pairs = zip(sentences, answers, strict=True)
        scores[language] = add_up(score(task, a, b)[metric] for a, b in pairs).score or 0.0
    return scores
