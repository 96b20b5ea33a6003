"""What a YAML file may say that pretrains on speech."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.data import LONGEST, DataConfig
from madg_speech.config.objectives import (
    BestRqConfig,
    ContrastiveConfig,
    Seq2SeqConfig,
    SpeechObjective,
)
from madg_speech.config.section import Section
from madg_speech.config.source import FREEZE, TYPOLOGY_FROM, SourceConfig
from madg_speech.config.training import TrainingConfig


class PretrainConfig(Section):
    """A whole `madg-speech pretrain` run."""

    objective: SpeechObjective = Field("ctc", description="ctc, best-rq, contrastive or seq2seq.")
    vocabulary: Literal["romanized", "phones"] = Field(
        "romanized", description="What CTC writes: Latin letters, or IPA as eSpeak NG has it."
    )
    best_rq: BestRqConfig = BestRqConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    seq2seq: Seq2SeqConfig = Seq2SeqConfig()
    backbone: BackboneConfig = BackboneConfig()
    source: SourceConfig = SourceConfig()
    data: DataConfig
    training: TrainingConfig = TrainingConfig()

    @field_validator("training")
    @classmethod
    def _slowest_fits(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        data, speed = info.data.get("data"), training.augment.speed
        if data and speed and data.max_seconds / speed[0] > LONGEST:
            raise ValueError(
                f"augment.speed {speed[0]:g} makes data.max_seconds {data.max_seconds:g} longer than "
                f"the {LONGEST:g} s that an encoder takes: lower max_seconds to "
                f"{LONGEST * speed[0]:g}"
            )
        return training

    init_from: str | None = Field(
        None,
        description="Checkpoint whose adapters are the start (for two-stage: static or per-language), and "
        "its head where the objective is the same.",
    )
    init_typology_from: str | None = Field(None, description=TYPOLOGY_FROM)
    freeze_typology: bool = Field(False, description=FREEZE)
    output: str = Field(description="Run folder; the finished checkpoint is output/checkpoint.")

    @model_validator(mode="after")
    def _objective_fits(self) -> PretrainConfig:
        if self.objective == "ctc":
            return self
        if self.source.kind == "none":
            raise ValueError(
                f"objective {self.objective} trains adapters: source.kind none has none"
            )
        if self.training.augment.asked:
            reason = (
                "hears windows as they are"
                if self.objective == "seq2seq"
                else "masks the audio itself"
            )
            raise ValueError(f"objective {self.objective} {reason}: leave training.augment out")
        if self.objective == "contrastive" and self.training.cache_prefix:
            raise ValueError(
                "objective contrastive masks below the first layer, so nothing can be cached: set "
                "training.cache_prefix: false"
            )
        return self
