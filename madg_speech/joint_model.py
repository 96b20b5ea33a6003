"""A model of speech and a model of text whose language embeddings are made by one map V."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from madg_speech.cache import atomic_path
from madg_speech.checkpoint import CARD, Medium
from madg_speech.errors import CheckpointError
from madg_speech.model import AdaptedModel
from madg_speech.text_model import TextModel

SHARED = ("source.embed.", "source.mean")
MEDIA: tuple[Medium, ...] = ("speech", "text")


class JointModel(nn.Module):
    """Speech and text; V, its bias and the mean vector of the speech source serve both.

    Tables, static parts, layer embeddings and heads are each medium's own.

    Args:
        speech: its source is a generator.
        text: its source is one of the same kind, over the same vectors, with λ as wide.
    """

    def __init__(self, speech: AdaptedModel, text: TextModel):
        super().__init__()
        self.speech, self.text = speech, text
        text.source.embed = speech.source.embed
        for name, value in speech.source.named_buffers(recurse=False):
            setattr(text.source, name, value)

    def forward(self, medium: Medium, batch: dict[str, Any]) -> dict[str, Any]:
        """What the model of ``medium`` makes of its ``batch``, and ``medium``."""
        outputs: dict[str, Any] = self.part(medium)(**batch)
        return outputs | {"medium": medium}

    def part(self, medium: Medium) -> AdaptedModel | TextModel:
        """The model of one medium."""
        return self.speech if medium == "speech" else self.text

    def at_step(self, step: int) -> None:
        """Neither CTC nor masked language modelling has a schedule of its own."""

    def readings(self) -> dict[str, float]:
        """Nor anything to report beside the losses."""
        return {}

    def trainable_state(self) -> dict[str, Tensor]:
        """Both media's but for the backbones, what they share once (under ``speech.``)."""
        return {
            f"{medium}.{name}": value
            for medium in MEDIA
            for name, value in self.part(medium).trainable_state().items()
            if medium == "speech" or not name.startswith(SHARED)
        }

    def load_trainable_state(self, state: dict[str, Tensor], origin: str) -> None:
        """Load what :meth:`trainable_state` returned; CheckpointError if a tensor does not fit."""
        parts: dict[str, dict[str, Tensor]] = {medium: {} for medium in MEDIA}
        for name, value in state.items():
            medium, _, inner = name.partition(".")
            if medium not in parts:
                raise CheckpointError(f"{origin}: {name} is of no medium; expected speech or text")
            parts[medium][inner] = value
        shared = {n: value for n, value in parts["speech"].items() if n.startswith(SHARED)}
        self.speech.load_trainable_state(parts["speech"], origin)
        self.text.load_trainable_state(parts["text"] | shared, origin)

    def save_pretrained(self, folder: Path | str, card: str, parts: dict[Medium, str]) -> None:
        """Write ``speech/`` and ``text/``, each a whole checkpoint, and README.md; or nothing.

        Args:
            folder: replaced if it exists.
            card: text of README.md.
            parts: texts of the two checkpoints' own model cards.
        """
        with atomic_path(Path(folder)) as draft:
            draft.mkdir()
            for medium in MEDIA:
                self.part(medium).save_pretrained(draft / medium, parts[medium])
            (draft / CARD).write_text(card, encoding="utf-8")
