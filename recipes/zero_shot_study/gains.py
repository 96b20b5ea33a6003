"""Where typology helps: gain against distance and observed share, and by script."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cells import Cells, difference, macro
from plots import scatter
from wording import COMPARED, compared, named, plot

from madg_speech.evaluation.groups import script_type
from madg_speech.splits import clade_of
from madg_speech.typology import observed_share


def gain_section(cells: Cells) -> Iterator[str]:
    """Two-stage against static trained on as long, a mark a language."""
    places = cells.shared(["two-stage", "static-long"])
    if not places:
        return
    ours, theirs = (
        cells.rates(arm, "test", "primary", places) for arm in ("two-stage", "static-long")
    )
    gains = {name: 100 * (theirs[name].value - ours[name].value) for name in ours}
    clades = {name: clade_of(name)[-1] for name in gains}
    known = {
        "distance": {name: cells.distance(name)[1] for name in gains},
        "observed": {name: 100 * observed_share(name) for name in gains},
    }
    labels = {
        "distance": "distance to the nearest trained language",
        "observed": "observed share of the vector, %",
    }
    yield "## Gain against distance and observed share\n"
    yield "Points of CER that the two-stage cells gain over static ones trained on as long"
    yield f"({named(places)}; above zero: typology helps), a mark for each language of the primary set."
    for name, label in labels.items():
        rho = _rank_correlation(known[name], gains)
        yield f"Rank correlation with {label.removesuffix(', %')}: {rho:+.2f}."
    yield ""
    for name, label in labels.items():
        points = {code: (known[name][code], gains[code]) for code in gains}
        title = f"Gain of two-stage over static against {label}"
        yield plot(
            f"gain-{name}",
            scatter(points, clades, label, "points of CER gained", title),
            title + ".",
        )
    yield ""


def script_section(cells: Cells) -> Iterator[str]:
    """The same contrast for the languages of each type of script."""
    places = cells.shared(["two-stage", "static-long"])
    if not places:
        return
    yield "## Groups by script\n\nAll test languages, sentences and words; two-stage minus"
    yield "static trained on as long.\n"
    yield f"| script | set | static | two-stage | {COMPARED} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for subset in ("primary", "words"):
        ours, theirs = (
            cells.rates(arm, "test", subset, places) for arm in ("two-stage", "static-long")
        )
        for script in sorted({script_type(name) for name in ours}):
            one, other = (
                {name: rate for name, rate in rates.items() if script_type(name) == script}
                for rates in (ours, theirs)
            )
            yield (
                f"| {script} | {subset} | {macro(other):.3f} | {macro(one):.3f} "
                f"| {compared(difference(one, other))} |"
            )
    yield ""


def _rank_correlation(a: dict[str, float], b: dict[str, float]) -> float:
    """Spearman's, ties in the order of codes."""
    names = sorted(a)
    ranks = [np.argsort(np.argsort([values[name] for name in names])) for values in (a, b)]
    return float(np.corrcoef(ranks)[0, 1]) if len(names) > 2 else float("nan")
