"""Early stopping on a dev plateau."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


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
