"""Configuration: what a YAML file may say, checked key by key, with a sentence for each field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

LONGEST = 30.0  # seconds that a Whisper encoder takes
SourceKind = Literal[
    "none", "static", "static-wide", "per-language", "madg", "madg-ls", "two-stage"
]
SpeechObjective = Literal["ctc", "best-rq", "contrastive", "seq2seq"]
ObjectiveName = SpeechObjective | Literal["mlm"]
TypologyName = Literal[
    "uriel",
    "syntax",
    "phonology",
    "inventory",
    "observed",
    "uriel+",
    "lineage+geography",
    "random",
    "language-id",
]


class Section(BaseModel):
    """Base of every section: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneConfig(Section):
    """The frozen model."""

    name: str = Field("openai/whisper-base", description="Hub id or folder.")
    revision: str | None = Field(None, description="Commit or tag on the hub.")
    layers: int | None = Field(
        None, gt=0, description="Text: keep only so many lower layers; all when left out."
    )


class UnseenConfig(Section):
    """What stands for a language that was not trained on, where there is a row for each that was."""

    rule: Literal["error", "nearest", "mean", "clade-mean", "weighted"] = Field(
        "mean",
        description="Refuse it; or mix the trained rows: the nearest one, all alike, those of its "
        "clade, or all by softmax(-distance / temperature), which is TIPA.",
    )
    temperature: float = Field(
        0.05, gt=0, description="weighted: in shares of features; 0.2 is a median pair."
    )


class TypologyConfig(Section):
    """Which vectors condition a generator; a plain string is the ``name``."""

    name: TypologyName = Field(
        "uriel",
        description="uriel; one of its blocks syntax, phonology, inventory; observed (no imputed "
        "value, and a mask); uriel+; lineage+geography; random; language-id (learned).",
    )
    shuffle: Literal["none", "all", "family"] = Field(
        "none", description="Exchange the vectors among all languages, or within families."
    )
    languages: tuple[str, ...] = Field(
        (), description="Exchanged together with the train and dev languages: those tested later."
    )
    seed: int = Field(0, description="Of the permutation and of random vectors.")
    permutation: dict[str, str] | None = Field(
        None, description="Whose vector each language gets; drawn and stored by pretrain."
    )
    reference: tuple[str, ...] = Field(
        (),
        description="Languages that vectors are centred on and scaled by, the training languages when "
        "left out; a joint run stores those of both media.",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class ShrinkConfig(Section):
    """two-stage: less of the generated part for a language far from the trained ones."""

    rule: Literal["none", "nearest", "gp"] = Field(
        "none",
        description="exp(-distance / scale) to the nearest trained language; or how much of a "
        "Gaussian process' variance the trained languages explain.",
    )
    scale: float = Field(
        0.1,
        gt=0,
        description="In shares of features; pretrain fits it on dev languages not trained on.",
    )


class SourceConfig(Section):
    """Where adapter weights come from."""

    kind: SourceKind = Field(
        "two-stage",
        description="none, static, static-wide (as many parameters as its rival), per-language, madg, "
        "madg-ls or two-stage.",
    )
    layers: tuple[int, ...] | None = Field(
        None, description="Adapted layers, 0 the lowest; the upper half when left out."
    )
    bottleneck: int = Field(32, gt=0, description="Adapter width b.")
    norm: bool = Field(
        False, description="A layer norm of the adapter's own ahead of it: MMS's block."
    )
    typology: TypologyConfig = TypologyConfig()
    unseen: UnseenConfig = UnseenConfig()
    embedding_size: int = Field(32, gt=0, description="Width of λ.")
    layer_embedding_size: int = Field(32, gt=0, description="Width of e_n (madg-ls).")
    init: Literal["near-identity", "original"] = Field(
        "near-identity", description="Start of madg and madg-ls; original is the authors' own."
    )
    per_layer: bool = Field(
        False, description="two-stage: a table for each layer, not one for all."
    )
    feature_dropout: float = Field(0.3, ge=0, lt=1, description="two-stage: features dropped.")
    vector_dropout: float = Field(0.3, ge=0, lt=1, description="two-stage: whole vectors dropped.")
    interpolation: float = Field(
        0.0,
        ge=0,
        le=1,
        description="two-stage: in training a vector goes up to this share of the way to that of one "
        "of its nearest trained languages.",
    )
    effects: bool = Field(
        False,
        description="two-stage: beside V's, a free λ of its own for each trained language, which takes "
        "what is peculiar to its recordings.",
    )
    gate: bool = Field(
        False, description="λ on a simplex: embedding_size basis adapters, mixed by a softmax."
    )
    shrink: ShrinkConfig = ShrinkConfig()
    rival: Literal["madg", "madg-ls", "two-stage"] = Field(
        "two-stage", description="static-wide: whose parameters it equals, at these same sizes."
    )


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


class DescentConfig(Section):
    """AdamW and its schedule: what every kind of training has, that of tasks too."""

    steps: int = Field(2000, gt=0, description="Optimiser steps.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak of AdamW's rate.")
    warmup_steps: int = Field(100, ge=0, description="Linear warm-up; linear decay follows.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled decay.")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    seed: int = Field(0, description="Batches, initialisation, dropout.")
    eval_every: int = Field(250, gt=0, description="Steps between dev scores and checkpoints.")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="bf16 also on CPUs.")
    cache_limit_gb: float = Field(20.0, gt=0, description="Refuse a larger prefix cache.")


class OptimisationConfig(DescentConfig):
    """What every kind of training of sources has."""

    gradient_accumulation: int = Field(1, gt=0, description="Batches a step and process.")
    languages_per_batch: int | None = Field(
        None, gt=0, description="So many languages in a batch; any number when left out."
    )
    smoothing: float = Field(
        0.5, ge=0, le=1, description="Exponent on a language's data: 1 as it comes, 0 all equal."
    )
    generator_weight_decay: float | None = Field(
        None, ge=0, description="Of the generator's V and W; weight_decay when left out."
    )
    patience: int | None = Field(
        None, gt=0, description="Stop after so many dev scores without a better one."
    )


class TrainingConfig(OptimisationConfig):
    """Optimisation on speech."""

    seconds_per_batch: float = Field(
        45.0, gt=0, description="Audio in one batch, padding included."
    )
    mask_time: float = Field(0.05, ge=0, lt=1, description="Share of frames masked in training.")
    cache_prefix: bool = Field(
        True, description="Compute the layers below the first adapter once and keep them on disk."
    )
    augment: AugmentConfig = AugmentConfig()

    @field_validator("augment")
    @classmethod
    def _cached_or_drawn(cls, augment: AugmentConfig, info: ValidationInfo) -> AugmentConfig:
        cached = info.data.get("cache_prefix")
        if cached and augment.asked and not augment.cached_views:
            raise ValueError(
                "a cached prefix is computed from the audio as it is: set cached_views to cache so "
                "many augmented views, or training.cache_prefix: false to draw anew each time"
            )
        if not cached and augment.cached_views:
            raise ValueError("cached_views needs training.cache_prefix: true")
        return augment


TYPOLOGY_FROM = (
    "Checkpoint, of text or speech, whose map V from vector to λ (and the mean it is centred on) is "
    "the start; everything else starts as it would."
)
FREEZE = "With init_typology_from: V stays as it was."


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


class PretrainConfig(Section):
    """A whole `madg-speech pretrain` run."""

    objective: SpeechObjective = Field("ctc", description="ctc, best-rq, contrastive or seq2seq.")
    vocabulary: Literal["romanized", "phones"] = Field(
        "romanized", description="What CTC writes: Latin letters, or IPA as eSpeak NG has it."
    )
    best_rq: BestRqConfig = BestRqConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    seq2seq: Seq2SeqConfig = Seq2SeqConfig()
    backbone: BackboneConfig = BackboneConfig()
    source: SourceConfig = SourceConfig()
    data: DataConfig
    training: TrainingConfig = TrainingConfig()

    @field_validator("training")
    @classmethod
    def _slowest_fits(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        data, speed = info.data.get("data"), training.augment.speed
        if data and speed and data.max_seconds / speed[0] > LONGEST:
            raise ValueError(
                f"augment.speed {speed[0]:g} makes data.max_seconds {data.max_seconds:g} longer than "
                f"the {LONGEST:g} s that an encoder takes: lower max_seconds to "
                f"{LONGEST * speed[0]:g}"
            )
        return training

    init_from: str | None = Field(
        None,
        description="Checkpoint whose adapters are the start (a static one for two-stage), and its "
        "head where the objective is the same.",
    )
    init_typology_from: str | None = Field(None, description=TYPOLOGY_FROM)
    freeze_typology: bool = Field(False, description=FREEZE)
    output: str = Field(description="Run folder; the finished checkpoint is output/checkpoint.")

    @model_validator(mode="after")
    def _objective_fits(self) -> PretrainConfig:
        if self.objective == "ctc":
            return self
        if self.source.kind == "none":
            raise ValueError(
                f"objective {self.objective} trains adapters: source.kind none has none"
            )
        if self.training.augment.asked:
            reason = (
                "hears windows as they are"
                if self.objective == "seq2seq"
                else "masks the audio itself"
            )
            raise ValueError(f"objective {self.objective} {reason}: leave training.augment out")
        if self.objective == "contrastive" and self.training.cache_prefix:
            raise ValueError(
                "objective contrastive masks below the first layer, so nothing can be cached: set "
                "training.cache_prefix: false"
            )
        return self
