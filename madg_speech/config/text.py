"""What a YAML file may say that pretrains on text (``objective: mlm``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from madg_speech.config.backbone import BackboneConfig
from madg_speech.config.section import Section
from madg_speech.config.source import FREEZE, TYPOLOGY_FROM, SourceConfig
from madg_speech.config.training import OptimisationConfig


class TextDataConfig(Section):
    """Text files ``<language>.txt``, a sentence a line; paths as in ``DataConfig``.

    Without dev files of their own, languages are scored on lines that training does not see: of each
    one in ``dev_languages`` those ``dev_per_language`` whose hashes come first.
    """

    text: tuple[str, ...] = Field(min_length=1, description="Files or globs of files.")
    exclude_languages: tuple[str, ...] = Field((), description="Never trained on (ISO 639-3).")
    dev_languages: tuple[str, ...] = Field((), description="Scored; excluded ones may be here.")
    dev_per_language: int = Field(40, gt=0, description="Lines held out in each of them.")
    min_lines: int = Field(1, gt=0, description="Languages with fewer lines are not trained on.")
    max_lines: int | None = Field(
        None, gt=0, description="Of a language at most so many lines, those hashed first."
    )
    min_count: int = Field(
        1,
        gt=0,
        description="Pieces that occur less often in the training text are never hidden: the fewer "
        "answers there are, the faster the step.",
    )
    window: int = Field(
        128, gt=2, description="Longer sentences are split into windows of so many pieces."
    )


class MlmTrainingConfig(OptimisationConfig):
    """Optimisation on masked text."""

    pieces_per_batch: int = Field(4096, gt=0, description="In one batch, padding included.")
    mask_share: float = Field(0.15, gt=0, lt=1, description="Of a sentence's pieces.")
    cached_views: int | None = Field(
        None,
        gt=0,
        description="Hide pieces in so many ways of each window, used in turn, and keep on disk what the "
        "layers below the first adapter make of them; hidden anew each time when left out.",
    )


class MlmConfig(Section):
    """A whole `madg-speech pretrain` run with ``objective: mlm``."""

    objective: Literal["mlm"]
    backbone: BackboneConfig = BackboneConfig(name="intfloat/multilingual-e5-small")
    source: SourceConfig = SourceConfig()
    data: TextDataConfig
    training: MlmTrainingConfig = MlmTrainingConfig()
    init_from: str | None = Field(
        None,
        description="Checkpoint whose head and adapters are the start (a static one for two-stage).",
    )
    init_typology_from: str | None = Field(None, description=TYPOLOGY_FROM)
    freeze_typology: bool = Field(False, description=FREEZE)

    @field_validator("source")
    @classmethod
    def _without_shrinkage(cls, source: SourceConfig) -> SourceConfig:
        if source.shrink.rule != "none":
            raise ValueError("source.shrink is fitted on dev speech: leave it out for text")
        return source

    output: str = Field(description="Run folder; the finished checkpoint is output/checkpoint.")
