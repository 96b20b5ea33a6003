"""What is minimised, and the settings of each objective beside CTC."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from madg_speech.config.section import Section

SpeechObjective = Literal["ctc", "best-rq", "contrastive", "seq2seq"]
ObjectiveName = SpeechObjective | Literal["mlm"]


class BestRqConfig(Section):
    """Masked prediction of random-projection targets (objective best-rq); no text is needed."""

    codes: int = Field(1024, gt=1, description="Size of the random codebook.")
    code_size: int = Field(16, gt=0, description="Width of a code.")
    mask_share: float = Field(0.4, gt=0, lt=1, description="Share of frames in masked spans.")
    mask_span: int = Field(10, gt=0, description="Frames in a span; a frame is 20 ms.")


class ContrastiveConfig(Section):
    """wav2vec 2.0's objective (objective contrastive); no text is needed."""

    quantizer: Literal["frozen", "trained"] = Field(
        "frozen", description="The backbone's own codebooks as they are, or learning on."
    )
    negatives: int = Field(100, gt=0, description="Distractors a masked frame.")
    mask_share: float = Field(0.65, gt=0, lt=1, description="Share of frames in masked spans.")
    mask_span: int = Field(10, gt=0, description="Frames in a span; a frame is 20 ms.")
    temperature: tuple[float, float] = Field(
        (2.0, 0.5), description="Gumbel softmax: at the start, and never below."
    )
    temperature_decay: float = Field(0.999995, gt=0, le=1, description="Factor a step.")


class Seq2SeqConfig(Section):
    """Whisper's frozen decoder on adapted encoder states (objective seq2seq)."""

    temperature: float = Field(
        0.05,
        gt=0,
        description="Of the prompt's mixture of language tokens, where Whisper has none for a language: "
        "in shares of features; 0.2 is a median pair.",
    )
