"""The same Trainer for distillation: a teacher's adapters in, the share of them that is missing as loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from madg_speech.adapters import ActiveAdapters
from madg_speech.data.batches import BatchPlan
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import Corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.model import AdaptedModel
from madg_speech.objectives.distil import hidden_loss, weight_loss, weight_scales
from madg_speech.sources.base import WeightSource
from madg_speech.training.trainer import AdapterTrainer


class Lesson(nn.Module):
    """A student and its frozen teacher; saved and loaded as the student alone.

    Args:
        student: same backbone and head as the teacher's model; its source learns.
        teacher: per-language adapters.
    """

    def __init__(self, student: AdaptedModel, teacher: WeightSource):
        super().__init__()
        self.student = student
        self.teacher = teacher.requires_grad_(False)

    def forward(
        self,
        languages: list[str],
        hidden: Tensor | None = None,
        features: Tensor | None = None,
        lengths: Tensor | None = None,
        labels: Tensor | None = None,  # of the audio's transcripts: nothing here asks for them
    ) -> dict[str, Tensor]:
        """``loss``: the missing share of what adapters do to a batch of audio, or of their weights."""
        if lengths is None:
            return {"loss": self._of_weights(languages)}
        if hidden is None:
            assert features is not None
            hidden, lengths = self.student.prefix(features, lengths)
        return {"loss": self._of_outputs(languages, hidden, lengths)}

    def _of_weights(self, languages: list[str]) -> Tensor:
        return weight_loss(self.student.source(languages), self.teacher(languages), self._scales)

    @cached_property
    def _scales(self) -> dict[str, Tensor]:
        """How much an error counts, told by the languages of the lesson, whichever are asked."""
        return weight_scales(self.teacher(self.student.spec.languages))

    def _of_outputs(self, languages: list[str], hidden: Tensor, lengths: Tensor) -> Tensor:
        unique = sorted(set(languages))
        rows = [unique.index(language) for language in languages]
        with torch.no_grad():
            plain = self.student.above_prefix(hidden, lengths, None)
            taught = ActiveAdapters.select(self.teacher(unique), rows)
            target = self.student.above_prefix(hidden, lengths, taught)
        learned = self.student.adapted_layers(hidden, lengths, languages)
        return hidden_loss(learned, target, plain, lengths)

    def trainable_state(self) -> dict[str, Tensor]:
        """The student's."""
        return self.student.trainable_state()

    def load_trainable_state(self, state: dict[str, Tensor], origin: str) -> None:
        """Into the student."""
        self.student.load_trainable_state(state, origin)


@dataclass(frozen=True)
class Listening:
    """Audio to match outputs on: a corpus, its batches, and what makes them."""

    corpus: Corpus
    plan: BatchPlan
    collator: Collator


class DistilTrainer(AdapterTrainer):
    """Trains the student of a :class:`Lesson`; saves and resumes as speech runs do.

    Args:
        lesson: its student's source learns.
        args: what the Trainer is told; there are no dev scores.
        listening: None to match weights.
    """

    def __init__(self, lesson: Lesson, args: TrainingArguments, listening: Listening | None):
        super().__init__(
            lesson,
            args,
            data_collator=listening.collator if listening else all_languages,
            train_dataset=listening.corpus.table if listening else [lesson.student.spec.languages],
        )
        self.model_accepts_loss_kwargs = False  # a share is a mean over its batch
        self.listening = listening

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan; of weights every step is all languages."""
        if self.listening:
            return self.loader(DrawnRows(self.train_dataset), Draws(self.listening.plan))
        loader: DataLoader[Any] = super().get_train_dataloader()
        return loader


def all_languages(rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """The one row that there is."""
    return {"languages": list(rows[0])}
