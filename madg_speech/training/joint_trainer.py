"""The Trainer on speech and text in turn: one medium a step, each with its own loss and rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from madg_speech.checkpoint import Medium
from madg_speech.config.training import OptimisationConfig
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import Corpus
from madg_speech.data.media import MediaCollator, MediaDraws, MediaRows
from madg_speech.joint_model import SHARED, JointModel
from madg_speech.training.objective import DevScores, Objective, macro_means
from madg_speech.training.speech_trainer import GENERATOR, SpeechTrainer


@dataclass(frozen=True)
class Part:
    """One medium of a joint run: what it would be trained with alone.

    Attributes:
        training: learning rate and weight decay of all but V.
        objective: its loss and scores.
        plan: its batches.
        train: its data.
        dev: what is scored.
        collator: what makes its batches.
        groups: the dev group of each scored language, by what this medium was trained on.
    """

    training: OptimisationConfig
    objective: Objective
    plan: BatchPlan
    train: Corpus
    dev: Corpus | None
    collator: Any
    groups: dict[str, str]

    def scores(self, model: Any) -> DevScores:
        """Of the medium's model; empty without dev data."""
        return self.objective.scores(model, self.dev.table, self.collator) if self.dev else {}


class JointTrainer(SpeechTrainer):
    """Trains a :class:`JointModel`.

    A step is of one medium, over all its processes and accumulated batches, so a loss is divided by
    the labels of its own kind. What a step does not touch has no gradient, which AdamW leaves as it
    is: a medium's tables move only in its own steps, V in all.

    Args:
        model: both media.
        args: what the Trainer is told; rate and decay are those of V.
        parts: of both media.
        media: of each batch.
        metric: the one of either medium to choose checkpoints by.
        patience: as in :class:`Patience`.
    """

    def __init__(
        self,
        model: JointModel,
        args: TrainingArguments,
        parts: dict[Medium, Part],
        media: Sequence[Medium],
        metric: str,
        patience: int | None = None,
    ):
        speech = parts["speech"]
        super().__init__(
            model,
            args,
            speech.plan,
            speech.train,
            speech.dev or parts["text"].dev,
            MediaCollator({medium: part.collator for medium, part in parts.items()}),
            speech.groups,
            patience,
            objective=Objective(self._loss, speech.objective.scores, metric),
        )
        self.parts = parts
        self.media = media
        self._losses: dict[Medium, list[torch.Tensor]] = {}

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of both plans; Accelerate gives each rank every n-th."""
        return self.loader(
            MediaRows({medium: part.train.table for medium, part in self.parts.items()}),
            MediaDraws({medium: part.plan for medium, part in self.parts.items()}, self.media),
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW; each medium's tensors at its own rates, V at those of the run, once."""
        made_before = self.optimizer is not None
        optimizer = super().create_optimizer(model)
        if made_before:
            return optimizer
        decaying = set(map(id, optimizer.param_groups[0]["params"]))
        alike: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                rates = self._rates(name, id(parameter) in decaying)
                alike.setdefault(rates, []).append(parameter)
        optimizer.param_groups.clear()
        for (rate, decay), parameters in alike.items():
            group = {"params": parameters, "lr": rate, "weight_decay": decay}
            optimizer.add_param_group(group)
        return optimizer

    def _rates(self, name: str, decaying: bool) -> tuple[float, float]:
        """Learning rate and weight decay of a parameter."""
        medium: Medium = "speech" if name.startswith("speech.") else "text"
        inner, training = name.removeprefix(f"{medium}."), self.parts[medium].training
        if inner.startswith(SHARED):
            return self.args.learning_rate, self.args.weight_decay if decaying else 0.0
        if inner.startswith(GENERATOR) and training.generator_weight_decay is not None:
            return training.learning_rate, training.generator_weight_decay
        return training.learning_rate, training.weight_decay if decaying else 0.0

    def _loss(
        self, outputs: dict[str, Any], labels: torch.Tensor, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        medium: Medium = outputs["medium"]
        loss = self.parts[medium].objective.loss(outputs, labels, num_items_in_batch)
        self._losses.setdefault(medium, []).append(loss.detach())
        return loss

    def count(self, inputs: dict[str, Any], objective: Objective, collator: Any) -> None:
        """As speech or text alone is counted."""
        part = self.parts[inputs["medium"]]
        super().count(inputs["batch"], part.objective, part.collator)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each medium's own loss: the Trainer's is a mean over both."""
        if "loss" in logs:
            batches = self.args.gradient_accumulation_steps * self.accelerator.num_processes
            for medium, losses in self._losses.items():  # of a batch: its share of the step's
                logs[f"{medium}_loss"] = float(torch.stack(losses).mean()) * batches
            self._losses.clear()
        super().log(logs, start_time)

    def dev_metrics(self, model: JointModel) -> dict[str, float]:
        """Each medium's scores, grouped by what it was trained on itself."""
        return {
            name: value
            for medium, part in self.parts.items()
            for name, value in macro_means(part.scores(model.part(medium)), part.groups).items()
        }
