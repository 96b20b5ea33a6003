"""TaskModel: a task adapter and a head on top of frozen, generated language adapters (MAD-X's stack)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from madg_speech.adapters import AdapterShape, AdapterWeights
from madg_speech.cache import atomic_path
from madg_speech.checkpoint import CARD, CONFIG, WEIGHTS, read_weights
from madg_speech.config.files import first_problem
from madg_speech.config.section import Section
from madg_speech.errors import CheckpointError, ConfigError
from madg_speech.sources.static import Static
from madg_speech.tasks.labels import Task
from madg_speech.tasks.parsing import ParsingHead
from madg_speech.tasks.tagging import TaggingHead
from madg_speech.text_model import TextModel

LANGUAGE = "language"


class TaskConfig(Section):
    """What ``config.json`` of a task checkpoint says."""

    format: int = 1
    task: Task
    labels: tuple[str, ...]
    bottleneck: int = Field(gt=0)
    layers: tuple[int, ...] = Field(description="With a task adapter; 0 is the lowest.")
    tap: int | None = Field(
        None, description="Words are read after so many layers; None: the last."
    )
    adapter_from: str = Field(
        "generated", description="Language adapters under which the task was learned."
    )
    sources: tuple[str, ...] = Field((), description="Languages it was learned in (ISO 639-3).")
    dev_scores: dict[str, float] = Field(
        default_factory=dict, description="Accuracy, F1 or LAS on the sources' dev sentences."
    )


class TaskModel(nn.Module):
    """Words in, tags or trees out; the language adapters below never change.

    Args:
        language: frozen encoder with its source of language adapters.
        config: task, inventory and sizes.
    """

    def __init__(self, language: TextModel, config: TaskConfig):
        super().__init__()
        self.language = language.requires_grad_(False).eval()
        self.spec = config
        size = language.backbone.hidden_size
        count = len(language.backbone.layers)
        wrong = [n for n in config.layers if not 0 <= n < (config.tap or count)]
        if wrong or not config.layers or not 0 < (config.tap or count) <= count:
            raise ConfigError(
                f"task adapters in layers {list(config.layers)}, read after {config.tap or count}: "
                f"expected numbers from 0 below that, of a backbone with {count} layers"
            )
        self.adapter = Static(AdapterShape(config.layers, size, config.bottleneck))
        head = ParsingHead if config.task == "parse" else TaggingHead
        self.head: ParsingHead | TaggingHead = head(size, config.labels)

    @property
    def prefix_layers(self) -> int:
        """Layers below any adapter: what they make of a sentence never changes."""
        return min(*self.spec.layers, self.language.prefix_layers)

    def train(self, mode: bool = True) -> TaskModel:
        """Train adapter and head; a language source's own dropout stays off."""
        super().train(mode)
        self.language.eval()
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.head.parameters()).device

    def encode(
        self,
        words: Sequence[Sequence[str]],
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> tuple[Tensor, Tensor]:
        """States [B, W, H] of words under language and task adapter, and their mask [B, W].

        Args:
            words: B sentences.
            languages: whose language adapter each one gets (ISO 639-3); None for none.
            adapter: weights of one language, in place of the source's wherever a language is named.
        """
        with warnings.catch_warnings():
            # Of sentences read in several windows; runs name them once, with their places.
            warnings.simplefilter("ignore", UserWarning)
            return self.language.encode_words(
                words, languages, layers=self.spec.tap, adapter=adapter, task=self.adapter(["task"])
            )

    def forward(
        self,
        words: Sequence[Sequence[str]],
        languages: Sequence[str | None],
        labels: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """The head's ``loss`` on a batch; ``labels`` as its ``encode`` makes them, padded."""
        states, mask = self.encode(words, languages)
        return {"loss": self.head.loss(states, mask, labels)}

    @torch.inference_mode()
    def predict(
        self,
        words: Sequence[Sequence[str]],
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> list[dict[str, Any]]:
        """``tags``, or ``heads`` and ``relations``, of each sentence; arguments as :meth:`encode`."""
        return self.head.predict(*self.encode(words, languages, adapter))

    def trainable_state(self) -> dict[str, Tensor]:
        """Task adapter and head."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if not name.startswith("language.")}

    def load_trainable_state(self, state: dict[str, Tensor], origin: str) -> None:
        """Load what :meth:`trainable_state` returned; CheckpointError if a tensor does not fit."""
        own = {name: value.shape for name, value in self.trainable_state().items()}
        given = {name: value.shape for name, value in state.items()}
        if own != given:
            wrong = min(n for n in own.keys() | given.keys() if own.get(n) != given.get(n))
            raise CheckpointError(
                f"{origin}: {wrong} does not fit: {given.get(wrong)} in the file, {own.get(wrong)} in "
                "the model"
            )
        self.load_state_dict(state, strict=False)

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Write config.json, model.safetensors, README.md and the language checkpoint, or nothing.

        The language adapters' source goes along (``language/``): the folder is complete but for the
        backbone, which that names.
        """
        with atomic_path(Path(folder)) as draft:
            draft.mkdir()
            state = {n: t.detach().cpu().contiguous() for n, t in self.trainable_state().items()}
            save_file(state, draft / WEIGHTS)
            (draft / CONFIG).write_text(self.spec.model_dump_json(indent=2) + "\n")
            (draft / CARD).write_text(card)
            self.language.save_pretrained(draft / LANGUAGE)

    @classmethod
    def from_pretrained(cls, folder: Path | str, backbone: str | None = None) -> TaskModel:
        """Load a task checkpoint and the backbone it names (or ``backbone``, a folder or hub id).

        Raises:
            CheckpointError: a file is missing or broken, or no task checkpoint.
            BackboneError: the backbone cannot be found.
        """
        folder = Path(folder)
        spec = read_task_config(folder)
        model = cls(TextModel.from_pretrained(folder / LANGUAGE, backbone), spec)
        model.load_trainable_state(read_weights(folder), str(folder))
        return model.eval()


def read_task_config(folder: Path) -> TaskConfig:
    """Read ``config.json`` of a task checkpoint; CheckpointError if it is none."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no task checkpoint: it has no {CONFIG}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if "task" not in values:
            raise CheckpointError(
                f"{folder} is a checkpoint of language adapters; train a task on it first: madg-speech "
                f"train-task --checkpoint {folder}"
            )
        return TaskConfig.model_validate(values)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: {error}") from None
