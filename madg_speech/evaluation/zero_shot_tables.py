"""Zero-shot results of task systems as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_PROBLEMS = {
    "left_out": "sentences left out",
    "read_in_windows": "sentences longer than the encoder takes, read in several windows",
    "words_cut": "words of which only the beginning is read",
}
GROUPS = ("source", "backbone", "adapters", "clade", "unrelated")
"""Each language is in one: the task was learned in it; the frozen encoder was pretrained on it; only the
language adapters' source was trained on it; only a relative was; none of these."""


def markdown(results: dict[str, Any]) -> str:
    """Means over groups, gains of the first system, and the deciding metric language by language."""
    lines = []
    for metric in results["groups"]:
        lines += _groups(results, metric)
    lines += _gains([c for c in results["comparisons"] if c["group"] == "zero-shot"])
    return "\n".join(lines + _languages(results) + _problems(results["problems"])) + "\n"


def _groups(results: dict[str, Any], metric: str) -> list[str]:
    systems = results["groups"][metric]
    present = [g for g in ("zero-shot", *GROUPS) if any(g in s for s in systems.values())]
    lines = [f"## {results['task']}: {metric} x 100, mean over languages (95 %)", ""]
    lines += _head(["system", *present])
    sizes = {g: max(len(s[g]["languages"]) for s in systems.values() if g in s) for g in present}
    for name, groups in systems.items():
        lines.append(_row([name, *(_cell(groups.get(g), size) for g, size in sizes.items())]))
    return [*lines, _row(["languages", *map(str, sizes.values())]), ""]


def _gains(compared: list[dict[str, Any]]) -> list[str]:
    if not compared:
        return []
    lines = [f"## Gain of {compared[0]['a']} over the others, zero-shot languages", ""]
    lines += _head(["over", "metric", "gain x 100", "95 %", "p", "languages", "clades"])
    for c in compared:
        interval = "-"
        if c["interval"]:
            interval = f"{100 * c['interval'][0]:+.1f} to {100 * c['interval'][1]:+.1f}"
        p = "-" if c["p"] is None else f"{c['p']:.3f}"
        gain, sizes = f"{100 * c['mean']:+.1f}", (str(c["languages"]), str(c["clusters"]))
        lines.append(_row([c["b"], c["metric"], gain, interval, p, *sizes]))
    return [*lines, ""]


def _languages(results: dict[str, Any]) -> list[str]:
    metric = next(iter(results["scores"]))
    systems, groups = results["scores"][metric], results["languages"]
    lines = [f"## {metric} x 100 by language", "", *_head(["language", "group", *systems])]
    for iso in sorted(groups, key=lambda iso: (GROUPS.index(groups[iso]["group"]), iso)):
        scores = [of.get(iso) for of in systems.values()]
        cells = [f"{100 * s['score']:.1f}" if s else "-" for s in scores]
        lines.append(_row([iso, groups[iso]["group"], *cells]))
    return lines


def _problems(problems: dict[str, dict[str, Any]]) -> list[str]:
    rows: dict[tuple[str, str], None] = {}  # the same for all systems, mostly: in order, once
    for system, languages in problems.items():
        for iso, found in languages.items():
            if "failed" in found:
                rows[iso, f"not scored by {system}: {found['failed']}"] = None
            for kind, what in _PROBLEMS.items():
                if places := found.get(kind):
                    rows[iso, f"{len(places)} {what}, first: {places[0]}"] = None
    if not rows:
        return []
    return ["", "## What was not used as it is", "", *_head(["language", "what"]), *map(_row, rows)]


def _head(names: list[str]) -> list[str]:
    return [_row(names), "|---" * len(names) + "|"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(group: dict[str, Any] | None, size: int) -> str:
    """Mean and interval; how many languages it is over, where others have ``size``."""
    if group is None:
        return "-"
    macro, scored = f"{100 * group['macro']:.1f}", len(group["languages"])
    if scored < size:
        return f"{macro} (only {scored} languages)"
    if group["interval"] is None:
        return macro
    low, high = group["interval"]
    return f"{macro} ({100 * low:.1f} to {100 * high:.1f})"
