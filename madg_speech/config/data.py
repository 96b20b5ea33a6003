"""Speech to train on."""

from __future__ import annotations

from pydantic import Field

from madg_speech.config.section import Section

LONGEST = 30.0  # seconds that a Whisper encoder takes


class DataConfig(Section):
    """Manifests; relative paths start at ``--data-root``, $MADG_DATA or the working directory.

    ``$NAME`` in a path is replaced by that environment variable.
    """

    train: tuple[str, ...] = Field(min_length=1, description="Manifests or globs of manifests.")
    dev: tuple[str, ...] = Field((), description="Manifests or globs scored during training.")
    dev_languages: tuple[str, ...] | None = Field(
        None, description="Score only these of the dev manifests."
    )
    exclude_languages: tuple[str, ...] = Field((), description="Never trained on (ISO 639-3).")
    exclude_licenses: tuple[str, ...] = Field((), description="License fields to leave out.")
    max_seconds: float = Field(
        20.0, gt=0, le=LONGEST, description="Longer utterances are left out."
    )
    dev_per_language: int = Field(20, gt=0, description="At most so many dev utterances each.")
