"""Where adapter weights come from: each source maps language codes to AdapterWeights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from madg_speech.adapters import AdapterShape
from madg_speech.config.source import SourceConfig
from madg_speech.errors import ConfigError
from madg_speech.sources.base import WeightSource
from madg_speech.typologies import build_typology


def build_source(
    config: SourceConfig, hidden_size: int, layers: int, trained: Sequence[str] = ()
) -> WeightSource | None:
    """Make the source a configuration names, for a backbone of ``layers`` layers of ``hidden_size``.

    Args:
        config: kind and sizes.
        hidden_size: width of the backbone.
        layers: how many layers the backbone has.
        trained: training languages: rows of a per-language source; a two-stage source is centred on
            their mean vector (a loaded checkpoint overwrites the mean with its own), or on that of
            the typology's ``reference``.

    Raises:
        ConfigError: a layer that the backbone lacks.
    """
    if config.kind == "none":
        return None
    numbers = tuple(range(layers // 2, layers)) if config.layers is None else config.layers
    wrong = [n for n in numbers if not 0 <= n < layers]
    if wrong or not numbers or list(numbers) != sorted(set(numbers)):
        raise ConfigError(
            f"source.layers: {list(numbers)} must be ascending numbers from 0 to {layers - 1}"
        )
    shape = AdapterShape(numbers, hidden_size, config.bottleneck, config.norm)
    if config.kind in ("static", "static-wide"):
        from madg_speech.sources.static import Static

        if config.kind == "static-wide":
            shape = replace(shape, bottleneck=_equal_bottleneck(config, shape, trained))
        return Static(shape)
    reference = config.typology.reference or trained
    typology = build_typology(config.typology, reference, config.unseen)
    if config.kind == "per-language":
        from madg_speech.sources.per_language import PerLanguage

        return PerLanguage(shape, trained, config.unseen, typology)
    if config.kind == "two-stage":
        from madg_speech.sources.two_stage import TwoStage

        return TwoStage(
            shape,
            typology,
            reference,
            config.embedding_size,
            config.per_layer,
            config.feature_dropout,
            config.vector_dropout,
            config.gate,
            config.shrink,
            config.interpolation,
            config.effects,
        )
    from madg_speech.sources.madg import MadG

    layer_embedding = config.layer_embedding_size if config.kind == "madg-ls" else 0
    return MadG(shape, typology, config.embedding_size, layer_embedding, config.init, config.gate)


def _equal_bottleneck(config: SourceConfig, shape: AdapterShape, trained: Sequence[str]) -> int:
    """The width at which one shared adapter set has about as many parameters as the rival.

    A set of width b has N (2 b H + b + H) parameters over N layers: the nearest whole b.
    """
    import torch

    with torch.random.fork_rng(devices=[]):  # the rival's start must not change the others' draws
        rival = build_source(
            config.model_copy(update={"kind": config.rival, "layers": shape.layers}),
            shape.hidden_size,
            max(shape.layers) + 1,
            trained,
        )
    assert rival is not None
    parameters = sum(parameter.numel() for parameter in rival.parameters())
    hidden = shape.hidden_size
    return max(1, round((parameters / len(shape.layers) - hidden) / (2 * hidden + 1)))
