"""Optimisation: of every kind of training, of sources, of speech."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from madg_speech.config.augment import AugmentConfig
from madg_speech.config.section import Section


class DescentConfig(Section):
    """AdamW and its schedule: what every kind of training has, that of tasks too."""

    steps: int = Field(2000, gt=0, description="Optimiser steps.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak of AdamW's rate.")
    warmup_steps: int = Field(100, ge=0, description="Linear warm-up; linear decay follows.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled decay.")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    seed: int = Field(0, description="Batches, initialisation, dropout.")
    eval_every: int = Field(250, gt=0, description="Steps between dev scores and checkpoints.")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="bf16 also on CPUs.")
    cache_limit_gb: float = Field(20.0, gt=0, description="Refuse a larger prefix cache.")


class OptimisationConfig(DescentConfig):
    """What every kind of training of sources has."""

    gradient_accumulation: int = Field(1, gt=0, description="Batches a step and process.")
    languages_per_batch: int | None = Field(
        None, gt=0, description="So many languages in a batch; any number when left out."
    )
    smoothing: float = Field(
        0.5, ge=0, le=1, description="Exponent on a language's data: 1 as it comes, 0 all equal."
    )
    generator_weight_decay: float | None = Field(
        None, ge=0, description="Of the generator's V and W; weight_decay when left out."
    )
    patience: int | None = Field(
        None, gt=0, description="Stop after so many dev scores without a better one."
    )


class TrainingConfig(OptimisationConfig):
    """Optimisation on speech."""

    seconds_per_batch: float = Field(
        45.0, gt=0, description="Audio in one batch, padding included."
    )
    mask_time: float = Field(0.05, ge=0, lt=1, description="Share of frames masked in training.")
    cache_prefix: bool = Field(
        True, description="Compute the layers below the first adapter once and keep them on disk."
    )
    augment: AugmentConfig = AugmentConfig()

    @field_validator("augment")
    @classmethod
    def _cached_or_drawn(cls, augment: AugmentConfig, info: ValidationInfo) -> AugmentConfig:
        cached = info.data.get("cache_prefix")
        if cached and augment.asked and not augment.cached_views:
            raise ValueError(
                "a cached prefix is computed from the audio as it is: set cached_views to cache so "
                "many augmented views, or training.cache_prefix: false to draw anew each time"
            )
        if not cached and augment.cached_views:
            raise ValueError("cached_views needs training.cache_prefix: true")
        return augment
