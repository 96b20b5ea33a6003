"""What is done to the training audio."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from madg_speech.config.section import Section


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the lower end of a range comes first")
    return pair


Speed = Annotated[float, Field(ge=0.5, le=2)]


class AugmentConfig(Section):
    """What is done to the training audio, drawn anew each time an utterance comes; nothing by default."""

    speed: Annotated[tuple[Speed, Speed], AfterValidator(_ascending)] | None = Field(
        None, description="Range of speeds, such as [0.9, 1.1]; pitch changes with it."
    )
    noise_snr_db: Annotated[tuple[float, float], AfterValidator(_ascending)] | None = Field(
        None, description="Range of signal-to-noise ratios of added noise, such as [10, 30]."
    )
    telephone: float = Field(0, ge=0, le=1, description="Share heard through a telephone.")
    spec_augment: bool = Field(False, description="Mask bands of mel bins and spans of frames.")
    cached_views: int | None = Field(
        None,
        gt=0,
        description="With cache_prefix: so many augmented views beside the plain one, used in turn.",
    )

    @property
    def asked(self) -> bool:
        """Whether anything is done."""
        return bool(self.speed or self.noise_snr_db or self.telephone or self.spec_augment)

    @model_validator(mode="after")
    def _views_of_something(self) -> AugmentConfig:
        if self.cached_views and not self.asked:
            raise ValueError(
                "cached_views without speed, noise_snr_db, telephone or spec_augment: choose one"
            )
        return self
