"""How cells of the page's tables read, and where its plots go."""

from __future__ import annotations

from collections.abc import Sequence

from cells import Place, Rates, interval_of, macro
from folds import HERE

from madg_speech.cache import atomic_path
from madg_speech.metrics.bootstrap import Difference

DOCS = HERE.parent.parent / "docs"
PLOTS = DOCS / "zero-shot-study"
NAMES = {
    "none": "no adapter (head only)",
    "static": "static, stage one",
    "static-long": "static, trained on as long",
    "two-stage": "**two-stage, true vectors**",
    "shuffled": "two-stage, shuffled vectors",
}
COMPARED = "difference | 95 % | p (least) | detectable | languages, clades"


def compared(found: Difference) -> str:
    """The columns of ``COMPARED``."""
    interval = f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}" if found.interval else ""
    p = f"{found.p:.3f} ({found.smallest_p:.3f})" if found.p is not None else ""
    least = f"{found.detectable:.3f}" if found.detectable is not None else ""
    return f"{found.mean:+.4f} | {interval} | {p} | {least} | {found.languages}, {found.clusters}"


def with_interval(rates: Rates) -> str:
    """Macro CER and its interval; nothing for no languages."""
    if not rates:
        return ""
    interval = interval_of(rates)
    bounds = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{macro(rates):.3f}{bounds}"


def about(arm: str) -> str:
    """The first line of an arm's file, which says what it is."""
    first = (HERE / "arms" / f"{arm}.yaml").read_text("utf-8").partition("\n")[0]
    return f"`{arm}`: {first.removeprefix('# ')}"


def plot(name: str, picture: str, caption: str) -> str:
    """Write a picture, and return what shows it."""
    with atomic_path(PLOTS / f"{name}.svg") as draft:
        draft.write_text(picture, "utf-8")
    return f"\n![{caption}]({PLOTS.name}/{name}.svg)\n"


def named(places: Sequence[Place]) -> str:
    """Folds with their seeds: a0, b0."""
    return ", ".join(f"{fold}{seed}" for fold, seed in places)
