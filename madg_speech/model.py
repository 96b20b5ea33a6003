"""A frozen backbone with a source of adapter weights, and what is put on top of it: a CTC head."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from madg_speech.adapters import ActiveAdapters, AdapterWeights
from madg_speech.backbones import load_backbone
from madg_speech.backbones.base import Backbone, Encoder
from madg_speech.cache import atomic_path
from madg_speech.config import BackboneConfig, ObjectiveName, Section, Seq2SeqConfig, SourceConfig
from madg_speech.errors import CheckpointError
from madg_speech.injection import Injection
from madg_speech.sources import build_source
from madg_speech.text.vocabulary import Vocabulary

WEIGHTS, CONFIG, VOCABULARY, CARD = "model.safetensors", "config.json", "vocab.json", "README.md"
Medium = Literal["speech", "text"]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
DEFAULT = Path(__file__).parent / "checkpoints" / "default"


class ModelConfig(Section):
    """What ``config.json`` of a checkpoint says; the backbone is named, not copied."""

    format: int = 1
    backbone: BackboneConfig
    hidden_size: int
    layers: int
    source: SourceConfig
    objective: ObjectiveName = Field("ctc", description="What the source was trained for.")
    seq2seq: Seq2SeqConfig | None = Field(None, description="Of objective seq2seq.")
    languages: tuple[str, ...] = Field((), description="ISO 639-3 codes trained on.")
    expected_cer: dict[str, float] = Field(
        default_factory=dict, description="Measured CER per group: trained, clade, unrelated."
    )


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


class AdaptedModel(AdaptedEncoder):
    """An adapted encoder with a linear CTC head.

    Args:
        backbone: frozen encoder.
        source: where adapter weights come from; None for no adapters at all.
        vocabulary: output symbols; index 0 is the blank.
        config: what is written to ``config.json``.
        mask_time: share of frames set to zero below the first adapter while training.
    """

    backbone: Backbone
    vocabulary: Vocabulary

    def __init__(
        self,
        backbone: Backbone,
        source: Any,
        vocabulary: Vocabulary,
        config: ModelConfig,
        mask_time: float = 0.0,
    ):
        super().__init__(backbone, source, config)
        self.head = nn.Linear(backbone.hidden_size, vocabulary.size)
        self.vocabulary = vocabulary
        self.mask_time = mask_time

    def forward(
        self,
        lengths: Tensor,
        languages: Sequence[str | None],
        features: Tensor | None = None,
        hidden: Tensor | None = None,
        adapter: AdapterWeights | None = None,
    ) -> dict[str, Tensor]:
        """CTC logits of a batch whose rows may be of different languages.

        Args:
            lengths: [B], along ``features`` or, with ``hidden``, in encoder frames.
            languages: ISO 639-3 code per row; None for no adapter.
            features: the front end's inputs, log-mel [B, mel, T] or waveforms [B, T]; or
            hidden: [B, T, H], what :meth:`prefix` returned (a cached prefix).
            adapter: weights of one language, used in place of the source's in every row that names
                a language.

        Returns:
            logits [B, T, V] and lengths [B] in encoder frames.
        """
        if hidden is None:
            assert features is not None
            hidden, lengths = self.prefix(features, lengths)
        if self.training and self.mask_time:
            hidden = mask_spans(hidden, lengths, self.mask_time)
        states = self.adapted_layers(hidden, lengths, languages, adapter)
        return {"logits": self.head(states), "lengths": lengths}

    @torch.inference_mode()
    def log_probs(
        self,
        waveforms: Sequence[np.ndarray],
        languages: Sequence[str | None],
        adapter: AdapterWeights | None = None,
    ) -> tuple[Tensor, Tensor]:
        """CTC log probabilities [B, T, V] (float32) of 16 kHz waveforms, and frame counts [B]."""
        features, lengths = self.backbone.features(waveforms)
        output = self(lengths, languages, features=features, adapter=adapter)
        return output["logits"].float().log_softmax(-1), output["lengths"]

    @classmethod
    def from_pretrained(cls, folder: Path | str, backbone: str | None = None) -> AdaptedModel:
        """Load a checkpoint and the backbone it names (or ``backbone``, a folder or hub id).

        Args:
            folder: that of a joint run too; or ``default``, or a hub id: :func:`checkpoint_folder`.
            backbone: in place of the one that the checkpoint names.

        Raises:
            CheckpointError: a file is missing or broken, the backbone has another shape, or the
                checkpoint was trained for another objective than CTC.
            BackboneError: the backbone cannot be found.
        """
        folder = checkpoint_folder(folder)
        config = read_model_config(folder)
        if config.objective != "ctc":
            if config.objective == "mlm":
                raise CheckpointError(f"{folder} is a model of text; expected one of speech")
            if config.objective == "seq2seq":
                raise CheckpointError(
                    f"{folder} was trained for Whisper's decoder and has no CTC head: use it with "
                    "`transcribe` and `evaluate`, --decoder whisper"
                )
            raise CheckpointError(
                f"{folder} was trained for {config.objective} and has no CTC head: give it one with "
                f"`pretrain` and `init_from: {folder}`"
            )
        encoder = load_encoder(config, folder, backbone)
        source = build_source(config.source, config.hidden_size, config.layers, config.languages)
        model = cls(encoder, source, Vocabulary.load(folder / VOCABULARY), config)
        model.load_trainable_state(read_weights(folder), str(folder))
        model.card = read_card(folder)
        return model.eval()


def part_of(folder: Path, medium: Medium) -> Path:
    """Where the model of ``medium`` lies in a joint checkpoint; any other checkpoint as it is."""
    inner = folder / medium
    return inner if (inner / CONFIG).is_file() and not (folder / CONFIG).is_file() else folder


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


def checkpoint_folder(name: Path | str) -> Path:
    """The folder of a model of speech: ``default`` is the one that the package carries.

    ``user/name``, where there is no such folder, is a repository on the Hugging Face hub; what is
    fetched lies in the hub's own cache.

    Raises:
        CheckpointError: this build carries no default checkpoint, or the hub has none of that name.
    """
    if str(name) != "default":
        is_hub_id = isinstance(name, str) and HUB_ID.fullmatch(name) and not Path(name).exists()
        return _from_hub(str(name)) if is_hub_id else part_of(Path(name), "speech")
    if not (DEFAULT / CONFIG).is_file():
        raise CheckpointError(
            "this build of madg-speech carries no default checkpoint: train one with `madg-speech "
            "pretrain` and give its folder (--checkpoint FOLDER)"
        )
    return DEFAULT


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    files = [CONFIG, WEIGHTS, VOCABULARY, CARD]
    try:
        return Path(snapshot_download(name, allow_patterns=files))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{name}: no such folder, and the Hugging Face hub did not give it ({reason}); a "
            "checkpoint is `default`, a folder, or user/name on the hub"
        ) from None


def read_model_config(folder: Path) -> ModelConfig:
    """Read a checkpoint's ``config.json`` without loading any weight; CheckpointError if it cannot be."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG}")
    try:
        return ModelConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The stored tensors, numbers in float32; CheckpointError if the file is missing or broken."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {WEIGHTS}")
    try:
        stored = load_file(path)
        return {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_card(folder: Path) -> str:
    """The checkpoint's model card; empty where it has none."""
    path = folder / CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def mask_spans(hidden: Tensor, lengths: Tensor, share: float, span: int = 10) -> Tensor:
    """Set spans of frames to zero so that about ``share`` of each row is masked (SpecAugment's time
    masks, arXiv 1904.08779, on hidden states).

    Args:
        hidden: [B, T, H].
        lengths: [B] true frames.
        share: expected share of masked frames, below 1.
        span: frames in a span (10 are 0.2 s).
    """
    frames = hidden.shape[1]
    starts = torch.rand(hidden.shape[:2], device=hidden.device) < share / span
    spans = starts.float()[:, None]
    masked = nn.functional.max_pool1d(nn.functional.pad(spans, (span - 1, 0)), span, 1)[:, 0] > 0
    inside = torch.arange(frames, device=hidden.device)[None] < lengths[:, None].to(hidden.device)
    return hidden.masked_fill((masked & inside)[..., None], 0.0)
