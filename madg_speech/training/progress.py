"""What a run tells on stderr: loss, CER, hours of audio per hour, time left."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from accelerate import PartialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SHOWN = {
    "loss": "loss {:.3f}",
    "speech_loss": "speech {:.3f}",
    "text_loss": "text {:.3f}",
    "code_perplexity": "code perplexity {:.1f}",
    "eval_cer": "dev CER {:.3f}",
    "eval_per": "dev PER {:.3f}",
    "eval_loss": "dev loss {:.3f}",
    "eval_accuracy": "dev accuracy {:.3f}",
    "eval_perplexity": "dev code perplexity {:.1f}",
    "eval_piece_perplexity": "dev perplexity {:.1f}",
    "eval_error": "dev error {:.3f}",
    "audio_hours_per_hour": "{:.1f} h audio/h",
    "pieces_per_second": "{:.0f} pieces/s",
}
GROUPED = ("eval_cer_", "eval_per_", "eval_loss_")  # shown per group; the others are in the log


def say(message: str) -> None:
    """One line on stderr, from the main process only."""
    if PartialState().is_main_process:
        _console().print(message)


def _console() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


class ProgressLines(TrainerCallback):
    """A line for every log; on a terminal a bar below them as well."""

    def __init__(self) -> None:
        self.console = _console()
        self.bar: Progress | None = None
        self.began = (0.0, 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock: a resumed run's time left counts from its own first step."""
        self.began = (time.monotonic(), state.global_step)
        if self.console.is_terminal and state.is_world_process_zero:
            columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.bar.add_task("", total=state.max_steps, completed=state.global_step)
            self.bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Move the bar."""
        if self.bar:
            left = self._left(state)
            self.bar.update(self.bar.task_ids[0], completed=state.global_step, description=left)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Print the values that a person reads; the others are in TensorBoard's files."""
        values = []
        for key, value in (logs or {}).items():  # a metric's groups follow it
            if key in SHOWN:
                values.append(SHOWN[key].format(value))
            elif key.startswith(GROUPED):
                values.append(f"{key.rpartition('_')[2]} {value:.3f}")
        if values and state.is_world_process_zero:
            place = f"step {state.global_step}/{state.max_steps}"
            self.console.print("  ".join([place, *values, self._left(state)]))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take the bar away."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def _left(self, state: TrainerState) -> str:
        then, first = self.began
        done = max(state.global_step - first, 1)
        left = (time.monotonic() - then) / done * (state.max_steps - state.global_step)
        return f"{timedelta(seconds=round(left))} left"
