"""What those who transcribe and evaluate can choose from, by name."""

from __future__ import annotations

from typing import Literal

AUTO = "auto"
Precision = Literal["float32", "int8"]
DecoderName = Literal["ctc", "whisper"]
NO_LEXICON = (
    "--lexicon and --lm are of the CTC head: Whisper's decoder writes native script itself; leave them "
    "out, or choose --decoder ctc"
)
