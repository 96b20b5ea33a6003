"""A refinement, of speech or text: what is asked for, and from the first score to the finished adapter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.cache import atomic_path
from madg_speech.conditioning import ADAPTER
from madg_speech.conditioning import ADAPTER_FACTS as FACTS
from madg_speech.config.section import Section
from madg_speech.training.progress import say
from madg_speech.training.speech_trainer import SpeechTrainer

Tune = Literal["adapter", "lambda"]
Start = Literal["generated", "static", "random"]
LEARNING_RATES: dict[Tune, float] = {"adapter": 1e-3, "lambda": 1e-2}


class RefinementConfig(Section):
    """What a `madg-speech refine` run is told, whatever its checkpoint hears or reads."""

    checkpoint: str = Field("default", description="Checkpoint folder.")
    language: str = Field(description="ISO 639-3 code, or another name of the language.")
    dev: str | None = Field(None, description="File to score; a tenth is held out without one.")
    tune: Tune = Field("adapter", description="All of the adapter, or only λ.")
    start: Start = Field(
        "generated", description="From the vector, what languages share, or noise."
    )
    steps: int = Field(
        300, gt=0, description="Most optimiser steps; dev scores may stop it earlier."
    )
    learning_rate: float | None = Field(None, gt=0, description="Peak rate.")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="As in training.")
    seed: int = Field(0, description="Batches, masks, random start.")

    def schedule(self, eval_every: int) -> dict[str, Any]:
        """Fields of ``OptimisationConfig`` that suit little data: few steps, stopped early."""
        return {
            "steps": self.steps,
            "learning_rate": self.learning_rate or LEARNING_RATES[self.tune],
            "warmup_steps": min(10, self.steps // 10),
            "eval_every": min(eval_every, self.steps),
            "patience": 6,
            "mixed_precision": self.mixed_precision,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Refined:
    """The new adapter's folder, and the dev score (``cer`` or ``loss``) before and after."""

    folder: Path
    metric: str
    before: float
    after: float


def read_refined(output: Path) -> Refined | None:
    """The finished refinement in ``output``; None where there is none."""
    facts = output / FACTS
    if not facts.is_file():
        return None
    known = json.loads(facts.read_text(encoding="utf-8"))
    metric = known["metric"]
    scored = [known[f"dev_{metric}_{when}"] for when in ("before", "after")]
    return Refined(output, metric, *scored)


def tune(
    trainer: SpeechTrainer,
    config: RefinementConfig,
    language: str,
    start: Start,
    output: Path,
    checkpoint: Path | None,
    facts: dict[str, Any],
) -> Refined:
    """Train the source that ``trainer`` holds, keep the best step or the start, write the adapter.

    Args:
        trainer: over train and dev data of ``language`` alone.
        config: what was asked for.
        language: whose adapter the source gives.
        start: where it begins.
        output: gets ``adapter.safetensors`` and, last, ``adapter.json``.
        checkpoint: go on from there; None for the start.
        facts: what else ``adapter.json`` says.
    """
    model: AdaptedEncoder = trainer.accelerator.unwrap_model(trainer.model)
    metric = trainer.objective.metric

    def score() -> float:
        scores = trainer.objective.scores(model, trainer.eval_dataset, trainer.data_collator)
        return scores[metric][language]

    model.eval()
    before = score()
    begun = {name: value.clone() for name, value in model.trainable_state().items()}
    say(f"dev {metric} before: {before:.3f}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.load_best()
    after = score()
    if not after <= before:  # or no number at all
        say(f"no step was better than the start (best {after:.3f}): the start is kept")
        model.load_trainable_state(begun, str(output))
        after = before
    say(f"dev {metric} after: {after:.3f}")
    if trainer.is_world_process_zero():
        with torch.no_grad():
            model.source([language]).save(output / ADAPTER, [language])
        description = {
            "checkpoint": config.checkpoint,
            "language": language,
            "tune": config.tune,
            "start": start,
            **facts,
            "metric": metric,
            f"dev_{metric}_before": round(before, 4),
            f"dev_{metric}_after": round(after, 4),
        }
        with atomic_path(output / FACTS) as draft:
            draft.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return Refined(output, metric, before, after)
