"""Which frozen model."""

from __future__ import annotations

from pydantic import Field

from madg_speech.config.section import Section


class BackboneConfig(Section):
    """The frozen model."""

    name: str = Field("openai/whisper-base", description="Hub id or folder.")
    revision: str | None = Field(None, description="Commit or tag on the hub.")
    layers: int | None = Field(
        None, gt=0, description="Text: keep only so many lower layers; all when left out."
    )
