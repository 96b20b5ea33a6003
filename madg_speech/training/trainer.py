"""The Hugging Face Trainer, taught our batches, dev scores and released weights."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerControl,
    TrainingArguments,
)

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.checkpoint import WEIGHTS
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import Corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.joint_model import JointModel
from madg_speech.training.objective import CTC, Objective, macro_means
from madg_speech.training.patience import Patience
from madg_speech.training.progress import ProgressLines

MARKER = "COMPLETE"
GENERATOR = ("source.embed.", "source.effects", "source.tables.")
Trained = AdaptedEncoder | JointModel


class SpeechTrainer(Trainer):
    """Trains source and head of an :class:`AdaptedEncoder`.

    Batches come from a :class:`BatchPlan` (one fixed order for the whole run, split over ranks by
    Accelerate); checkpoints hold the trained tensors only and end with a completion marker.
    """

    def __init__(
        self,
        model: Trained,
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
            callbacks=[ProgressLines()]
            + ([Patience(patience, self.objective.metric)] if patience and dev else []),
        )
        self.remove_callback(PrinterCallback)
        self.plan = plan
        self.groups = groups
        self.generator_weight_decay = generator_weight_decay
        self._taken: dict[str, torch.Tensor] = {}
        self._last_log = time.monotonic()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan; Accelerate gives each rank every n-th."""
        loader: DataLoader[Any] = DataLoader(
            DrawnRows(self.train_dataset),
            batch_sampler=Draws(self.plan),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

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

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The objective's scores of the dev set: macro over languages, all together and per group.

        The main process scores, and tells the others: all must stop at the same step.
        """
        told: list[dict[str, float]] = [{}]
        if self.is_world_process_zero():
            told = [self._score(metric_key_prefix)]
        broadcast_object_list(told)
        self.log(told[0])
        self.control: TrainerControl = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, told[0]
        )
        return told[0]

    def _score(self, prefix: str) -> dict[str, float]:
        model: Trained = self.accelerator.unwrap_model(self.model)
        model.eval()
        metrics = self.dev_metrics(model)
        model.train()
        return {f"{prefix}_{name}": value for name, value in metrics.items()}

    def dev_metrics(self, model: Any) -> dict[str, float]:
        """Scores of the dev set by :func:`macro_means`."""
        scores = self.objective.scores(model, self.eval_dataset, self.data_collator)
        return macro_means(scores, self.groups)

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        """One batch; counts what was taken in."""
        unwrapped: Trained = self.accelerator.unwrap_model(model)
        unwrapped.at_step(self.state.global_step)
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
            unwrapped: Trained = self.accelerator.unwrap_model(self.model)
            logs |= unwrapped.readings()
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        model: Trained = self.accelerator.unwrap_model(self.model)
        state = {name: t.detach().cpu().contiguous() for name, t in model.trainable_state().items()}
        save_file(state, folder / WEIGHTS)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each rank writes its own random state
        if self.is_world_process_zero():
            (self._folder(self.state.global_step) / MARKER).touch()
            self._prune()

    def _prune(self) -> None:
        # Only now that the new checkpoint counts may older ones go, and each loses its marker
        # first: whenever the process is killed, every marked folder is whole.
        kept = {self._folder(self.state.global_step)}
        if self.state.best_global_step:
            kept.add(self._folder(self.state.best_global_step))
        for folder in set(Path(self.args.output_dir).glob("checkpoint-*")) - kept:
            (folder / MARKER).unlink(missing_ok=True)
            shutil.rmtree(folder)

    def _folder(self, step: int) -> Path:
        return Path(self.args.output_dir) / f"checkpoint-{step}"

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target: Trained = self.accelerator.unwrap_model(model or self.model)
        file = Path(resume_from_checkpoint) / WEIGHTS
        target.load_trainable_state(load_file(file), str(file))

    def load_best(self) -> Any:
        """The trained model at its best dev score, or as it is where nothing was scored."""
        if self.state.best_global_step:
            self._load_from_checkpoint(str(self._folder(self.state.best_global_step)))
        model: Trained = self.accelerator.unwrap_model(self.model)
        return model.eval()


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest ``checkpoint-N`` in a run folder that carries the completion marker."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def data_workers(cached: bool) -> int:
    """Loader processes: none where a memory map is read, some where audio is decoded."""
    return 0 if cached else min(4, max(0, (os.cpu_count() or 1) - 2))
