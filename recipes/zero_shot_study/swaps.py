"""What stands in for a language's adapter at test time, nothing being trained again.

``own`` is the cell as it is, ``none`` no adapter. Of a generator also: ``mean``, what the mean vector gives
(in a two-stage cell the static part alone); ``nearest``, the adapter of the typologically nearest trained
language; ``same-clade`` and ``other-family``, that of a wrong language, drawn once a language; ``english``,
where English was trained on. Of a two-stage cell ``scaled-0.5`` and so on, the generated part shrunk
towards the static one. Of rows for each trained language, adapters or learned embeddings, what each rule
for a language without a row gives: ``nearest``, ``mean`` (that is ``own``), ``clade-mean``, ``weighted``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from madg_speech.adapters import AdapterWeights
from madg_speech.config.source import UnseenConfig
from madg_speech.evaluation.swaps import other_language, other_vector
from madg_speech.model import AdaptedModel
from madg_speech.sources.madg import MadG
from madg_speech.sources.per_language import PerLanguage
from madg_speech.sources.two_stage import TwoStage
from madg_speech.typologies import build_typology

AdapterFor = Callable[[str], AdapterWeights | None]
SCALES = (0.25, 0.5, 0.75)
RULES = ("nearest", "clade-mean", "weighted")


def swaps_of(model: AdaptedModel, split: str) -> dict[str, AdapterFor]:
    """Name -> language -> the adapter used, None for the model's own choice."""
    source, typology = model.source, model.spec.source.typology
    swaps: dict[str, AdapterFor] = {"own": lambda language: None}
    if source is None or split == "seen":
        return swaps
    swaps["none"] = lambda language: None
    if isinstance(source, PerLanguage) or typology.name == "language-id":
        return swaps | {rule: _by_rule(model, rule) for rule in RULES}
    trained = model.spec.languages
    if (
        not isinstance(source, MadG | TwoStage) or len(trained) == 1
    ):  # no other language to stand in
        return swaps

    def of_other(swap: str) -> AdapterFor:
        return lambda language: source([other_language(swap, language, trained)])

    if isinstance(source, TwoStage):
        swaps["mean"] = lambda language: source.generate(0 * source.embedding([language]))
        for scale in SCALES:
            swaps[f"scaled-{scale}"] = lambda language, scale=scale: source.generate(
                scale * source.embedding([language])
            )
    else:
        swaps["mean"] = lambda language: other_vector("mean", language, model)
    swaps["nearest"] = of_other("nearest")
    swaps["other-family"] = of_other("other-family")
    if typology.permutation is None:  # which holds trained and tested languages alone
        swaps["same-clade"] = of_other("same-clade")
    if "eng" in trained:
        swaps["english"] = lambda language: source(["eng"])
    return swaps


def _by_rule(model: AdaptedModel, rule: Any) -> AdapterFor:
    """The adapter of ``model`` under another rule for languages without a row."""
    unseen = UnseenConfig(rule=rule)
    source = copy.copy(model.source)  # shares all tensors
    if isinstance(source, PerLanguage):
        source.unseen = unseen
    else:
        spec = model.spec
        source.typology = build_typology(spec.source.typology, spec.languages, unseen)
    return lambda language: source([language])
