"""The Hugging Face Trainer, taught our batches, dev scores and released weights."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from madg_speech.data.batches import BatchPlan
from madg_speech.data.collate import Collator
from madg_speech.data.corpus import Corpus
from madg_speech.decoding.greedy import greedy_decode
from madg_speech.metrics.error_rate import cer
from madg_speech.model import WEIGHTS, AdaptedModel
from madg_speech.objectives.ctc import IGNORED, ctc_loss

MARKER = "COMPLETE"


class SpeechTrainer(Trainer):
    """Trains source and head of an :class:`AdaptedModel` with CTC.

    Batches come from a :class:`BatchPlan` (one fixed order for the whole run, split over ranks by
    Accelerate); checkpoints hold the trained tensors only and end with a completion marker.
    """

    def __init__(
        self,
        model: AdaptedModel,
        args: TrainingArguments,
        plan: BatchPlan,
        train: Corpus,
        dev: Corpus | None,
        collator: Collator,
        groups: dict[str, str],
        callbacks: list[TrainerCallback],
    ):
        """``groups`` names the dev group of each language; other arguments as in Trainer."""
        super().__init__(
            model,
            args,
            data_collator=collator,
            train_dataset=train.table,
            eval_dataset=dev.table if dev else None,
            compute_loss_func=_loss,
            callbacks=callbacks,
        )
        self.plan = plan
        self.groups = groups

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan; Accelerate gives each rank every n-th."""
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,
            batch_sampler=self.plan,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Greedy CER on the dev set: macro over languages, all together and per group."""
        model: AdaptedModel = self.accelerator.unwrap_model(self.model)
        model.eval()
        rates = dev_error_rates(model, self.eval_dataset, self.data_collator)
        metrics = {f"{metric_key_prefix}_cer": sum(rates.values()) / len(rates)}
        for group in sorted(set(self.groups.values())):
            members = [rate for name, rate in rates.items() if self.groups.get(name) == group]
            if members:
                metrics[f"{metric_key_prefix}_cer_{group}"] = sum(members) / len(members)
        model.train()
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        model: AdaptedModel = self.accelerator.unwrap_model(self.model)
        state = {name: t.detach().cpu().contiguous() for name, t in model.trainable_state().items()}
        save_file(state, folder / WEIGHTS)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            (folder / MARKER).touch()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target: AdaptedModel = self.accelerator.unwrap_model(model or self.model)
        file = Path(resume_from_checkpoint) / WEIGHTS
        target.load_trainable_state(load_file(file), str(file))

    def _load_best_model(self) -> None:
        if self.state.best_model_checkpoint:
            self._load_from_checkpoint(self.state.best_model_checkpoint)


def _loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    return ctc_loss(outputs, labels, num_items_in_batch)


@torch.inference_mode()
def dev_error_rates(
    model: AdaptedModel, table: Any, collator: Any, rows_per_batch: int = 32
) -> dict[str, float]:
    """CER of each language in ``table`` by greedy decoding, references being the labels."""
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
    return {language: cer(*pair).rate for language, pair in said.items()}


def spell(model: AdaptedModel, ids: torch.Tensor) -> str:
    """Labels [S] back to text; nothing is collapsed."""
    return "".join(model.vocabulary.symbols[i] for i in ids[ids != IGNORED].tolist())


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest ``checkpoint-N`` in a run folder that carries the completion marker."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class AudioSpeed(TrainerCallback):
    """Adds hours of audio per hour and the hours seen to what is logged."""

    def __init__(self, plan: BatchPlan, batches_per_step: int):
        self.hours_per_step = plan.seconds_per_batch * batches_per_step / 3600
        self.began: tuple[float, int] | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Called before loggers print; steps are counted from the first log of this process."""
        if logs is None or "loss" not in logs:
            return
        now = time.monotonic()
        if self.began is None:
            self.began = (now, state.global_step)
            return
        hours = (now - self.began[0]) / 3600
        steps = state.global_step - self.began[1]
        logs["audio_hours_per_hour"] = round(steps * self.hours_per_step / max(hours, 1e-9), 1)


def data_workers(cached: bool) -> int:
    """Loader processes: none where a memory map is read, some where audio is decoded."""
    return 0 if cached else min(4, max(0, (os.cpu_count() or 1) - 2))
