"""What stands in for a language's generated adapter at test time, nothing being trained again.

``own`` is the cell as it is. Of a two-stage cell also: ``none``; ``mean``, the static part alone, which is
what the mean vector gives; ``nearest``, the adapter of the typologically nearest trained language;
``scaled-0.5`` and so on, the generated part shrunk towards the static one.
"""

from __future__ import annotations

from collections.abc import Callable

from madg_speech.adapters import AdapterWeights
from madg_speech.model import AdaptedModel
from madg_speech.sources.two_stage import TwoStage
from madg_speech.typology import nearest

AdapterFor = Callable[[str], AdapterWeights | None]
SCALES = (0.25, 0.5, 0.75)


def swaps_of(model: AdaptedModel, split: str) -> dict[str, AdapterFor]:
    """Name -> language -> the adapter used, None for the model's own choice."""
    source = model.source
    swaps: dict[str, AdapterFor] = {"own": lambda language: None}
    if source is None or split == "seen":
        return swaps
    swaps["none"] = lambda language: None
    if not isinstance(source, TwoStage):
        return swaps
    trained = model.spec.languages
    swaps["mean"] = lambda language: source.generate(0 * source.embedding([language]))
    swaps["nearest"] = lambda language: source([nearest(language, trained, 1)[0].iso])
    for scale in SCALES:
        swaps[f"scaled-{scale}"] = lambda language, scale=scale: source.generate(
            scale * source.embedding([language])
        )
    return swaps
