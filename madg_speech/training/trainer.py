"""The Hugging Face Trainer, taught our batches, dev scores and released weights."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.checkpoint import WEIGHTS
from madg_speech.data.batches import BatchPlan
from madg_speech.data.corpus import Corpus
from madg_speech.data.draws import DrawnRows, Draws
from madg_speech.decoding.greedy import greedy_decode
from madg_speech.joint_model import JointModel
from madg_speech.metrics.error_rate import cer, per
from madg_speech.model import AdaptedModel
from madg_speech.objectives.ctc import IGNORED, ctc_loss
from madg_speech.training.progress import ProgressLines

MARKER = "COMPLETE"
GENERATOR = ("source.embed.", "source.tables.")
Trained = AdaptedEncoder | JointModel
DevScores = dict[str, dict[str, float]]


def audio_seconds(inputs: dict[str, Any], collator: Any) -> torch.Tensor:
    """Seconds of audio in a batch of ``collator``; neither padding nor silence up to a full window."""
    front_end = collator.front_end
    if "spoken" in inputs:
        spoken: torch.Tensor = inputs["spoken"].sum() / front_end.frame_rate
        return spoken
    rate = front_end.frame_rate if "hidden" in inputs else front_end.rate
    seconds: torch.Tensor = inputs["lengths"].sum() / rate
    return seconds


@dataclass(frozen=True)
class Objective:
    """What the trainer minimises and how dev utterances are scored.

    Attributes:
        loss: the model's outputs, labels [B, ...] padded with -100, and the number of labels in the
            whole optimiser step over all ranks (None: that of these labels) -> loss.
        scores: model, dev table and collator -> metric -> language -> value.
        metric: the one to choose checkpoints by, the lower the better.
        amount: a batch and its collator -> how much training data it holds.
        pace: what the log calls that amount, by time.
    """

    loss: Callable[[Any, torch.Tensor, Any], torch.Tensor]
    scores: Callable[[Any, Any, Any], DevScores]
    metric: str
    amount: Callable[[dict[str, Any], Any], torch.Tensor] = audio_seconds
    pace: str = "audio_hours_per_hour"


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


def macro_means(scores: DevScores, groups: dict[str, str]) -> dict[str, float]:
    """``metric`` and ``metric_group`` -> mean over all scored languages, and over those of a group."""
    means = {}
    for metric, rates in scores.items():
        means[metric] = sum(rates.values()) / len(rates)
        for group in sorted(set(groups.values())):
            members = [rate for name, rate in rates.items() if groups.get(name) == group]
            if members:
                means[f"{metric}_{group}"] = sum(members) / len(members)
    return means


@torch.inference_mode()
def dev_error_rates(
    model: AdaptedModel, table: Any, collator: Any, rows_per_batch: int = 32
) -> dict[str, float]:
    """Error rate of each language in ``table`` by greedy decoding, references being the labels.

    CER; of a vocabulary of phones PER.
    """
    order = sorted(range(len(table)), key=table["seconds"].__getitem__)
    said: dict[str, tuple[list[str], list[str]]] = {}
    for start in range(0, len(order), rows_per_batch):
        batch = collator([table[i] for i in order[start : start + rows_per_batch]])
        labels = batch.pop("labels")
        batch = {k: v.to(model.device) if torch.is_tensor(v) else v for k, v in batch.items()}
        output = model(**batch)
        decoded = greedy_decode(output["logits"], output["lengths"], model.vocabulary)
        for language, ids, text in zip(batch["languages"], labels, decoded, strict=True):
            references, hypotheses = said.setdefault(language, ([], []))
            references.append(spell(model, ids))
            hypotheses.append(text)
    rate = per if model.vocabulary.kind == "phones" else cer
    return {language: rate(*pair).rate for language, pair in said.items()}


CTC = Objective(
    ctc_loss, lambda model, table, collator: {"cer": dev_error_rates(model, table, collator)}, "cer"
)
PHONE_CTC = Objective(
    ctc_loss, lambda model, table, collator: {"per": dev_error_rates(model, table, collator)}, "per"
)


def spell(model: AdaptedModel, ids: torch.Tensor) -> str:
    """Labels [S] back to text; nothing is collapsed."""
    return "".join(model.vocabulary.symbols[i] for i in ids[ids != IGNORED].tolist())


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest ``checkpoint-N`` in a run folder that carries the completion marker."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class Patience(TrainerCallback):
    """Stops after so many dev scores in a row without a better one.

    It counts in the run's log, which checkpoints keep: a resumed run stops where an unbroken one
    does.
    """

    def __init__(self, patience: int, metric: str = "cer"):
        self.patience = patience
        self.key = f"eval_{metric}"

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """A run killed after its last score has nothing left to do."""
        self.on_evaluate(args, state, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The Trainer always takes one step before it stops: that one must not be scored."""
        if self._exhausted(state):
            control.should_evaluate = control.should_save = False

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count the scores since the best."""
        control.should_training_stop |= self._exhausted(state)

    def _exhausted(self, state: TrainerState) -> bool:
        scores = [entry[self.key] for entry in state.log_history if self.key in entry]
        return bool(scores) and len(scores) - 1 - scores.index(min(scores)) >= self.patience


def data_workers(cached: bool) -> int:
    """Loader processes: none where a memory map is read, some where audio is decoded."""
    return 0 if cached else min(4, max(0, (os.cpu_count() or 1) - 2))
