"""V from another checkpoint: what one medium learned of language vectors, given to another.

Text exists in hundreds of languages, speech in few, and both are conditioned on the same vectors:
λ(l) = V (t(l) - t̄) can be learned on either, whatever the backbone above it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from madg_speech.checkpoint import ModelConfig, part_of, read_model_config, read_weights
from madg_speech.errors import CheckpointError

TENSORS = ("embed.weight", "embed.bias", "mean")


def take_typology(
    source: nn.Module | None, config: ModelConfig, folder: Path, freeze: bool
) -> None:
    """Replace V, its bias and the mean vector by those of a checkpoint; ``freeze`` keeps V there.

    Args:
        source: the new run's.
        config: of the new run.
        folder: a checkpoint of the same kind of source, of any backbone; a joint one too.
        freeze: V (and its bias) is not trained on.

    Raises:
        CheckpointError: no checkpoint; or one whose source, vectors or width of λ are others.
    """
    folder = part_of(folder, "speech")  # in a joint checkpoint both parts hold the same
    before = read_model_config(folder)
    other, own = before.source, config.source
    told: dict[str, tuple[Any, Any]] = {
        "kind": (other.kind, own.kind),
        "typology": (other.typology.name, own.typology.name),
        "gate": (other.gate, own.gate),
        "embedding_size": (other.embedding_size, own.embedding_size),
    }
    given = {
        name.removeprefix("source."): value
        for name, value in read_weights(folder).items()
        if name.removeprefix("source.") in TENSORS
    }
    if "embed.weight" not in given:
        raise CheckpointError(
            f"init_typology_from: the {other.kind} source of {folder} has no map from vectors; "
            "expected madg, madg-ls or two-stage"
        )
    differing = [f"{name} is {a}, here {b}" for name, (a, b) in told.items() if a != b]
    differing += [
        f"typology.{key} is another" for key, value in _vectors(config) - _vectors(before)
    ]
    # madg and madg-ls write λ alike; a two-stage source centres the vectors first.
    if {other.kind, own.kind} == {"madg", "madg-ls"}:
        differing = [text for text in differing if not text.startswith("kind")]
    if differing or source is None:
        raise CheckpointError(f"init_typology_from: {folder}: {'; '.join(differing)}")
    state = source.state_dict()
    source.load_state_dict(state | given)
    if freeze:
        embed: nn.Module = source.get_submodule("embed")
        embed.requires_grad_(False)


def _vectors(config: ModelConfig) -> set[tuple[str, Any]]:
    """What two configurations of the same typology must say alike to have the same vectors."""
    typology = config.source.typology
    told: set[tuple[str, Any]] = {("permutation", frozenset((typology.permutation or {}).items()))}
    if typology.name == "random":
        told.add(("seed", typology.seed))
    if typology.name != "uriel":  # scaled, or even made, by the training languages
        told.add(("reference", typology.reference or config.languages))
    return told
