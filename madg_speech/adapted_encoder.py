"""A frozen backbone with a source of adapter weights: what every objective puts its head on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from madg_speech.adapters import ActiveAdapters, AdapterWeights
from madg_speech.backbones import load_backbone
from madg_speech.backbones.base import Backbone, Encoder
from madg_speech.cache import atomic_path
from madg_speech.checkpoint import CARD, CONFIG, VOCABULARY, WEIGHTS, ModelConfig
from madg_speech.errors import CheckpointError
from madg_speech.injection import Injection
from madg_speech.text.vocabulary import Vocabulary


class AdaptedEncoder(nn.Module):
    """A frozen backbone with adapters from ``source`` in its upper layers; objectives add a head.

    Args:
        backbone: frozen encoder.
        source: where adapter weights come from; None for no adapters at all.
        config: what is written to ``config.json``.
    """

    backbone: Any  # an Encoder; each kind of model says which
    vocabulary: Vocabulary | None = None
    # How the names of tensors begin that are frozen, and in no checkpoint.
    kept_out: ClassVar[tuple[str, ...]] = ("backbone.",)

    def __init__(self, backbone: Encoder, source: Any, config: ModelConfig):
        super().__init__()
        self.backbone = backbone
        self.source = source
        self.spec = config
        self.card = ""
        adapted = source.shape.layers if source is not None else ()
        self.injection = Injection(backbone.placements, range(len(backbone.layers)))
        # Everything below the first adapter is a fixed function of the input: it can be cached. An
        # adapter that reads the output of its layer has that whole layer below it.
        self._first = min(adapted, default=len(backbone.layers))
        reads_output = (
            adapted and backbone.placements[self._first].module is (backbone.layers[self._first])
        )
        self.prefix_layers = self._first + 1 if reads_output else self._first

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.backbone.parameters()).device
        return device

    def prefix(
        self, inputs: Tensor, lengths: Tensor, stop: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """What lies below the first adapter: hidden [B, T, H] and lengths along T.

        That is ``prefix_layers`` layers; the first adapter's own is among them where the adapter
        reads the output of its layer (``Placement``). ``stop``: so many layers instead.
        """
        stop = self.prefix_layers if stop is None else stop
        with torch.no_grad():
            hidden, frames = self.backbone.embed(inputs, lengths)
            return self.backbone.run_layers(hidden, frames, stop=stop), frames

    @torch.no_grad()
    def masked_prefix(
        self, inputs: Tensor, lengths: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`prefix` of an encoder of waveforms with frames replaced; ``Backbone.embed_masked``."""
        hidden, observed, frames = self.backbone.embed_masked(inputs, lengths, mask)
        return self.backbone.run_layers(hidden, frames, stop=self.prefix_layers), observed, frames

    def adapted_layers(
        self,
        hidden: Tensor,
        lengths: Tensor,
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> Tensor:
        """From the first adapter to the top, [B, T, H], on what :meth:`prefix` returned."""
        return self.above_prefix(hidden, lengths, self.adapters_for(languages, adapter))

    def above_prefix(
        self, hidden: Tensor, lengths: Tensor, active: ActiveAdapters | None
    ) -> Tensor:
        """As :meth:`adapted_layers`, with these adapters or none."""
        with self.injection.use(active):
            if self.prefix_layers > self._first:
                hidden = self.injection.adapt(self._first, hidden)
            hidden = self.backbone.run_layers(hidden, lengths, start=self.prefix_layers)
        finished: Tensor = self.backbone.finish(hidden)
        return finished

    def at_step(self, step: int) -> None:
        """Follow a schedule of the objective's own; called before each training step."""

    def readings(self) -> dict[str, float]:
        """What a training log says beside the loss."""
        return {}

    def adapters_for(
        self, languages: Sequence[str | None], adapter: AdapterWeights | None = None
    ) -> ActiveAdapters | None:
        """Adapters of a batch: generated once per distinct language (or given), indexed by row."""
        unique = sorted({language for language in languages if language is not None})
        if not unique or (self.source is None and adapter is None):
            return None
        weights = self.source(unique) if adapter is None else adapter
        place = {language: i if adapter is None else 0 for i, language in enumerate(unique)}
        return ActiveAdapters.select(
            weights, [-1 if language is None else place[language] for language in languages]
        )

    def trainable_state(self) -> dict[str, Tensor]:
        """Everything but what is frozen: the source, and the head of the objective."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if not name.startswith(self.kept_out)}

    def load_trainable_state(self, state: dict[str, Tensor], origin: str) -> None:
        """Load what :meth:`trainable_state` returned; CheckpointError if a tensor does not fit."""
        own = {name: value.shape for name, value in self.trainable_state().items()}
        given = {name: value.shape for name, value in state.items()}
        wrong = sorted(
            name for name in own.keys() | given.keys() if own.get(name) != given.get(name)
        )
        if wrong:
            raise CheckpointError(
                f"{origin}: {len(wrong)} tensors do not fit, first {wrong[0]}: "
                f"{given.get(wrong[0])} in the file, {own.get(wrong[0])} in the model"
            )
        self.load_state_dict(state, strict=False)

    def save_pretrained(
        self, folder: Path | str, card: str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        """Write config.json, model.safetensors, vocab.json and README.md, whole or not at all.

        Args:
            folder: replaced if it exists.
            card: text of the model card; that of the checkpoint it was loaded from when left out.
            dtype: of the stored weights, e.g. float16; as they are when left out.
        """
        state = {
            name: value.detach()
            .to("cpu", dtype if value.is_floating_point() else None)
            .contiguous()
            for name, value in self.trainable_state().items()
        }
        with atomic_path(Path(folder)) as draft:
            draft.mkdir()
            save_file(state, draft / WEIGHTS)
            (draft / CONFIG).write_text(self.spec.model_dump_json(indent=2) + "\n")
            if self.vocabulary is not None:
                self.vocabulary.save(draft / VOCABULARY)
            (draft / CARD).write_text(self.card if card is None else card)

    def push_to_hub(
        self,
        repo: str,
        card: str | None = None,
        *,
        private: bool = False,
        dtype: torch.dtype | None = None,
        token: str | None = None,
    ) -> str:
        """Upload what :meth:`save_pretrained` writes to a repository on the Hugging Face hub.

        Args:
            repo: ``user/name``; made if it does not exist.
            card: as in :meth:`save_pretrained`.
            private: of a repository that is made.
            dtype: of the stored weights.
            token: of the hub; the one of ``hf auth login`` when left out.

        Returns:
            The address of the repository.

        Raises:
            CheckpointError: no model card: nobody could know what the weights are.
        """
        from huggingface_hub import HfApi

        text = self.card if card is None else card
        if not text.strip():
            raise CheckpointError(
                "a model without a card is not published: give card=, the text of its README.md"
            )
        api = HfApi(token=token)
        url = str(api.create_repo(repo, private=private, exist_ok=True))
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "checkpoint", text, dtype)
            api.upload_folder(repo_id=repo, folder_path=Path(folder) / "checkpoint")
        return url


def load_encoder(config: ModelConfig, folder: Path, backbone: str | None = None) -> Backbone:
    """The backbone of the checkpoint in ``folder``, or ``backbone`` in its place.

    Raises:
        CheckpointError: the backbone has another shape.
        BackboneError: the backbone cannot be found.
    """
    chosen = backbone or config.backbone.name
    encoder = load_backbone(chosen, None if backbone else config.backbone.revision)
    check_shape(config, encoder, folder, chosen)
    return encoder


def check_shape(config: ModelConfig, encoder: Encoder, folder: Path, name: str) -> None:
    """CheckpointError if ``encoder`` is not of the shape that the checkpoint in ``folder`` is for."""
    if (encoder.hidden_size, len(encoder.layers)) != (config.hidden_size, config.layers):
        raise CheckpointError(
            f"{folder} was made for {config.backbone.name} ({config.layers} layers of "
            f"{config.hidden_size}); {name} has {len(encoder.layers)} of {encoder.hidden_size}"
        )
