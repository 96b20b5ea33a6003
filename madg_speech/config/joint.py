"""What a YAML file may say that trains on speech and text in turn (``objective: joint``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from madg_speech.config.section import Section
from madg_speech.config.source import FREEZE, TYPOLOGY_FROM, SourceConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.config.text import MlmConfig
from madg_speech.config.training import DescentConfig

GENERATORS = ("madg", "madg-ls", "two-stage")
UNUSED = "Not used: the run as a whole has one."


class SpeechPart(PretrainConfig):
    """A run on speech as ``objective: ctc`` has it.

    Of its ``training`` the joint run's steps, schedule, seed, clipping, scores and precision count,
    and its own batches, masks, augmentation, learning rate and weight decay.
    """

    output: str = Field("", description=UNUSED)


class TextPart(MlmConfig):
    """A run on text as ``objective: mlm`` has it; of its ``training`` counts what it does in speech."""

    output: str = Field("", description=UNUSED)


class JointTrainingConfig(DescentConfig):
    """Optimisation of both media; the rate and decay given here are those of the shared V."""

    text_share: float = Field(
        0.5, ge=0, lt=1, description="Of the steps, spread evenly; the others take speech."
    )
    gradient_accumulation: int = Field(1, gt=0, description="Batches a step and process.")
    patience: int | None = Field(
        None, gt=0, description="Stop after so many dev scores without a better one."
    )


class JointConfig(Section):
    """A whole `madg-speech pretrain` run with ``objective: joint``: λ(l) = V (t(l) - t̄) is one for both."""

    objective: Literal["joint"]
    speech: SpeechPart
    text: TextPart
    training: JointTrainingConfig = JointTrainingConfig()
    init_typology_from: str | None = Field(None, description=TYPOLOGY_FROM)
    freeze_typology: bool = Field(False, description=FREEZE)
    output: str = Field(
        description="Run folder; output/checkpoint/{speech,text} is what it leaves."
    )

    @model_validator(mode="after")
    def _one_map(self) -> JointConfig:
        if self.speech.objective != "ctc":
            raise ValueError(f"speech.objective is {self.speech.objective}; expected ctc")
        speech, text = _map_of(self.speech.source), _map_of(self.text.source)
        differing = [
            f"{name} is {speech[name]} in speech.source and {text[name]} in text.source"
            for name in speech
            if speech[name] != text[name]
        ]
        if differing:
            raise ValueError(
                f"one V serves both media, but {'; '.join(differing)}: make them equal"
            )
        if self.speech.source.kind not in GENERATORS:
            raise ValueError(
                f"a {self.speech.source.kind} source (speech.source, text.source) has no V to share; "
                f"expected {', '.join(GENERATORS)}"
            )
        for medium, part in (("speech", self.speech), ("text", self.text)):
            if part.init_typology_from or part.freeze_typology:
                raise ValueError(
                    f"{medium}.init_typology_from and freeze_typology: V is shared, so they belong at "
                    "the top level of a joint configuration"
                )
        return self


def _map_of(source: SourceConfig) -> dict[str, object]:
    """All that decides λ of a language; languages named for shuffling are joined."""
    typology = source.typology.model_dump(exclude={"languages"})
    told = {"kind": source.kind, "embedding_size": source.embedding_size, "gate": source.gate}
    return (
        told
        | {"shrink.rule": source.shrink.rule, "unseen": source.unseen}
        | {f"typology.{name}": value for name, value in typology.items()}
    )
