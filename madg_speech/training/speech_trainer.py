"""The Trainer on audio or text: batches of a plan, the objective's loss, its scores of the dev set."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import Corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.joint_model import JointModel
from madg_speech.training.objective import CTC, Objective, macro_means
from madg_speech.training.patience import Patience
from madg_speech.training.trainer import AdapterTrainer

GENERATOR = ("source.embed.", "source.effects", "source.tables.")


class SpeechTrainer(AdapterTrainer):
    """Trains source and head of an :class:`AdaptedEncoder`.

    Batches come from a :class:`BatchPlan` (one fixed order for the whole run, split over ranks by
    Accelerate).
    """

    def __init__(
        self,
        model: AdaptedEncoder | JointModel,
        args: TrainingArguments,
        plan: BatchPlan,
        train: Corpus,
        dev: Corpus | None,
        collator: Any,
        groups: dict[str, str],
        patience: int | None = None,
        generator_weight_decay: float | None = None,
        objective: Objective | None = None,
    ):
        """CTC where no objective is given.

        ``groups`` names the dev group of each language; ``patience`` as in :class:`Patience`.
        ``generator_weight_decay`` is that of V and W; None for the same as the rest.
        """
        self.objective = objective or CTC
        super().__init__(
            model,
            args,
            data_collator=collator,
            train_dataset=train.table,
            eval_dataset=dev.table if dev else None,
            compute_loss_func=self.objective.loss,
            callbacks=[Patience(patience, self.objective.metric)] if patience and dev else [],
        )
        self.plan = plan
        self.groups = groups
        self.generator_weight_decay = generator_weight_decay
        self._taken: dict[str, torch.Tensor] = {}
        self._last_log = time.monotonic()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan; Accelerate gives each rank every n-th."""
        return self.loader(DrawnRows(self.train_dataset), Draws(self.plan))

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW; V and W of a generator decay at their own rate where one is set."""
        made_before = self.optimizer is not None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if made_before or self.generator_weight_decay is None:
            return optimizer
        generator = [
            parameter
            for name, parameter in self.model.named_parameters()
            if name.startswith(GENERATOR) and parameter.requires_grad
        ]
        taken = set(map(id, generator))
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in taken]
        optimizer.add_param_group(
            {"params": generator, "weight_decay": self.generator_weight_decay}
        )
        return optimizer

    def dev_metrics(self, model: Any) -> dict[str, float]:
        """The objective's scores: macro over languages, all together and per group."""
        scores = self.objective.scores(model, self.eval_dataset, self.data_collator)
        return macro_means(scores, self.groups)

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        """One batch; counts what was taken in."""
        self.trained().at_step(self.state.global_step)
        self.count(inputs, self.objective, self.data_collator)
        loss: torch.Tensor = super().training_step(model, inputs, *rest)
        return loss

    def count(self, inputs: dict[str, Any], objective: Objective, collator: Any) -> None:
        """Add what a batch holds to what was taken in since the last log."""
        taken = self._taken.get(objective.pace, torch.zeros((), device=self.args.device))
        self._taken[objective.pace] = taken + objective.amount(inputs, collator)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the pace (such as hours of audio per hour) since the last log, for every logger to see."""
        if "loss" in logs:
            now = time.monotonic()
            for pace, amount in self._taken.items():
                taken = float(amount) * self.accelerator.num_processes
                logs[pace] = round(taken / (now - self._last_log), 1)
            self._last_log = now
            self._taken.clear()
            logs |= self.trained().readings()
        super().log(logs, start_time)
