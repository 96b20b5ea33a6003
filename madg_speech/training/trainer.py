"""The Hugging Face Trainer, whose checkpoints hold what learns, and count only when they are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainingArguments,
)

from madg_speech.checkpoint import WEIGHTS
from madg_speech.training.progress import ProgressLines

MARKER = "COMPLETE"


class AdapterTrainer(Trainer):
    """Trains a model that names its trained tensors (``trainable_state``, ``load_trainable_state``).

    Checkpoints hold these tensors only and end with a completion marker.

    Args:
        model: what learns.
        args: what the Trainer is told.
        callbacks: beside lines of progress.
        told: whatever else the Trainer takes.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        callbacks: Sequence[TrainerCallback] = (),
        **told: Any,
    ):
        super().__init__(model, args, callbacks=[ProgressLines(), *callbacks], **told)
        self.remove_callback(PrinterCallback)

    def loader(self, rows: Any, batches: Iterable[list[Any]]) -> DataLoader[Any]:
        """These batches of rows; Accelerate gives each rank every n-th."""
        loader: DataLoader[Any] = DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """:meth:`dev_metrics`. The main process scores, and tells the others: all must stop alike."""
        told: list[dict[str, float]] = [{}]
        if self.is_world_process_zero():
            model = self.trained()
            model.eval()
            scores = self.dev_metrics(model)
            model.train()
            told = [{f"{metric_key_prefix}_{name}": value for name, value in scores.items()}]
        broadcast_object_list(told)
        self.log(told[0])
        self.control: TrainerControl = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, told[0]
        )
        return told[0]

    def dev_metrics(self, model: Any) -> dict[str, float]:
        """Scores of the dev set, by name; asked of trainers that were given one."""
        raise NotImplementedError

    def trained(self) -> Any:
        """The model, without what Accelerate wraps it in."""
        return self.accelerator.unwrap_model(self.model)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        state = self.trained().trainable_state()
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
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
        target = self.accelerator.unwrap_model(model or self.model)
        file = Path(resume_from_checkpoint) / WEIGHTS
        target.load_trainable_state(load_file(file), str(file))

    def load_best(self) -> Any:
        """The trained model at its best dev score, or as it is where nothing was scored."""
        if self.state.best_global_step:
            self._load_from_checkpoint(str(self._folder(self.state.best_global_step)))
        return self.trained().eval()


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest ``checkpoint-N`` in a run folder that carries the completion marker."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
