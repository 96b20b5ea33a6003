"""What refining tunes, and at which value it begins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from madg_speech.adapted_encoder import AdaptedEncoder
from madg_speech.adapters import AdapterWeights
from madg_speech.errors import CheckpointError, ConfigError, UnknownLanguageError
from madg_speech.languages import language_code, resolve
from madg_speech.sources.base import WeightSource
from madg_speech.sources.free_embedding import FreeEmbedding
from madg_speech.sources.madg import MadG
from madg_speech.sources.static import Static
from madg_speech.sources.two_stage import TwoStage
from madg_speech.training.progress import say
from madg_speech.training.refinement import RefinementConfig, Start, Tune


def choose_start(config: RefinementConfig, model: AdaptedEncoder) -> tuple[str, Start]:
    """The language's code, and the start that it can have: λ without a vector begins at the mean.

    Raises:
        UnknownLanguageError: no such language, or a generated adapter asked for without a vector.
    """
    try:
        return resolve(config.language, say).iso, config.start
    except UnknownLanguageError as error:
        code = language_code(config.language)
        if config.start != "generated" or isinstance(model.source, Static):
            return code, config.start
        if config.tune == "lambda":
            say(f"{code} has no URIEL vector: λ starts at the mean of the trained languages")
            return code, "static"
        raise UnknownLanguageError(
            f"{error}; or refine it with --tune lambda, which needs no vector"
        ) from None


def starting_source(model: AdaptedEncoder, language: str, tune: Tune, start: Start) -> WeightSource:
    """What is tuned, at its first value.

    ``static`` is what all languages share: a static source's own weights, or those at the mean λ of
    the trained languages (in a two-stage source that is its static part). ``random`` is an
    untrained adapter, or a λ drawn from a normal distribution with the trained languages' mean and
    deviation.

    Raises:
        CheckpointError: a checkpoint without adapters.
        ConfigError: λ of a source that has none.
    """
    source = model.source
    trained = model.spec.languages
    if source is None:
        raise CheckpointError("this checkpoint has no adapters to refine: choose another one")
    if isinstance(source, MadG | TwoStage):
        with torch.no_grad():
            embedding = _embedding(source, trained, language, start)
            if tune == "lambda":
                return FreeEmbedding(source, embedding)
            weights = source.generate(embedding)
    elif tune == "lambda":
        raise ConfigError(
            f"--tune lambda: the {model.spec.source.kind} adapters of this checkpoint come from no "
            "λ; use --tune adapter"
        )
    else:
        weights = source([language])
    adapter = Static(source.shape)
    if start != "random":
        _fill(adapter, weights)
    return adapter


def _embedding(
    source: MadG | TwoStage, trained: Sequence[str], language: str, start: Start
) -> Tensor:
    if start == "generated":
        return source.embedding([language])
    embeddings = source.embedding(trained)
    mean = embeddings.mean(0, keepdim=True)
    if start == "static":
        return mean
    return mean + embeddings.std(0, correction=0, keepdim=True) * torch.randn_like(mean)


def _fill(adapter: Static, weights: AdapterWeights) -> None:
    for name, tensor in weights.tensors.items():
        getattr(adapter, name).data.copy_(tensor[0])
