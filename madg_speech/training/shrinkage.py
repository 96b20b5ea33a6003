"""Fits how far a two-stage source trusts its generated part away from the trained languages."""

from __future__ import annotations

from typing import Any

from madg_speech.config.source import ShrinkConfig
from madg_speech.model import AdaptedModel
from madg_speech.sources.two_stage import TwoStage
from madg_speech.splits import training_group
from madg_speech.training.objective import dev_error_rates
from madg_speech.training.progress import say

SCALES = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""In shares of features. Nearest trained languages are typically 0.1 to 0.2 away: the least scale leaves
an eighth of the generated part there or less, the largest nearly all."""


def fit_shrinkage(model: AdaptedModel, table: Any, collator: Any) -> dict[float, float]:
    """Choose the scale with the lowest macro CER on languages whose clade was not trained on.

    The choice is made in ``model.source`` and in ``model.spec``, which goes into the checkpoint. Without
    such languages the configured scale stays.

    Args:
        model: in evaluation mode, with a two-stage source that shrinks.
        table: the dev utterances, of any languages.
        collator: makes batches of its rows.

    Returns:
        scale -> macro CER.
    """
    source = model.source
    assert isinstance(source, TwoStage)
    groups = {name: training_group(name, model.spec.languages) for name in set(table["lang"])}
    rows = [i for i, name in enumerate(table["lang"]) if groups[name] in ("family", "unrelated")]
    if not rows:
        say(f"no dev language outside the trained clades: shrink.scale stays {source.shrink.scale}")
        return {}
    held_out = table.select(rows)
    found = {}
    for scale in SCALES:
        source.shrink = ShrinkConfig(rule=source.shrink.rule, scale=scale)
        rates = dev_error_rates(model, held_out, collator)
        found[scale] = sum(rates.values()) / len(rates)
    best = min(found, key=found.__getitem__)
    source.shrink = ShrinkConfig(rule=source.shrink.rule, scale=best)
    kept = model.spec.source.model_copy(update={"shrink": source.shrink})
    model.spec = model.spec.model_copy(update={"source": kept})
    say(f"shrink.scale {best} (dev CER {found[best]:.3f} outside the trained clades)")
    return found
