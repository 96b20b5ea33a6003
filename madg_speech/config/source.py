"""Where adapter weights come from, and which vectors condition them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from madg_speech.config.section import Section

SourceKind = Literal[
    "none", "static", "static-wide", "per-language", "madg", "madg-ls", "two-stage"
]
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

TYPOLOGY_FROM = (
    "Checkpoint, of text or speech, whose map V from vector to λ (and the mean it is centred on) is "
    "the start; everything else starts as it would."
)
FREEZE = "With init_typology_from: V stays as it was."


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
