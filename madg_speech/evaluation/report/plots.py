"""Bars with intervals per group, and gain against typological distance, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from madg_speech.evaluation.report.frame import Frame, short, ticks
from madg_speech.evaluation.report.parts import Part
from madg_speech.evaluation.report.sheet import percent, span
from madg_speech.evaluation.report.tables import group_label, group_names

_BOX = Frame(width=360.0, height=270.0, left=44.0, right=350.0, top=14.0, bottom=228.0)


@dataclass(frozen=True)
class Bar:
    """A system in a group: its macro CER in words, and the drawing of it."""

    system: str
    value: str
    interval: str
    svg: str


@dataclass(frozen=True)
class BarGroup:
    """The systems of a group of languages."""

    name: str
    languages: int
    clades: int
    bars: list[Bar]


def group_bars(part: Part, spelling: str) -> tuple[list[BarGroup], float]:
    """Bars of macro CER for every group, and the rate at which the axis ends (at most 1)."""
    systems = part.results["groups"][spelling]
    found = {
        group: {s: systems[s][group]["all"] for s in systems if group in systems[s]}
        for group in group_names(systems)
    }
    tops = [
        max(whole["cer"]["macro"], (whole["cer"]["interval"] or (0, 0))[1])
        for of_systems in found.values()
        for whole in of_systems.values()
    ]
    end = min(1.0, -(-max(tops) * 10 // 1) / 10)
    groups = []
    for name, of_systems in found.items():
        whole = next(iter(of_systems.values()))
        bars = [
            Bar(
                system,
                percent(scores["cer"]["macro"]),
                span(scores["cer"]["interval"]),
                _bar(scores["cer"]["macro"], scores["cer"]["interval"], end),
            )
            for system, scores in of_systems.items()
        ]
        groups.append(BarGroup(group_label(name), len(whole["languages"]), whole["clades"], bars))
    return groups, end


def _bar(value: float, interval: list[float] | None, end: float) -> str:
    """A bar that stretches with its row: 100 units are ``end``; what runs beyond is notched."""

    def at(rate: float) -> float:
        return 100 * min(rate / end, 1.0)

    lines = [f'<rect class="fill" x="0" y="2" width="{at(value):.2f}" height="10"/>']
    lines += [f'<path class="grid" d="M{x} 0V14"/>' for x in (25, 50, 75)]
    if interval:
        low, high = at(interval[0]), at(interval[1])
        caps = f"M{low:.2f} 4V10" + (f"M{high:.2f} 4V10" if interval[1] <= end else "")
        lines.append(f'<path class="whisker" d="M{low:.2f} 7H{high:.2f}{caps}"/>')
    if value > end:
        lines.append('<path class="beyond" d="M97 0L95.5 14M98.5 0L97 14"/>')
    return f'<svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">{"".join(lines)}</svg>'


def gain_plot(part: Part, system: str, baseline: str) -> str | None:
    """Points of CER that ``system`` gains over ``baseline`` against distance to the training languages.

    One mark for each language that both were scored on; None with fewer than two distances known.
    Squares were trained on, circles not.
    """
    found = []
    for language in part.languages:
        ours, theirs = part.score(system, language), part.score(baseline, language)
        distance = part.distance(system, language)
        if ours and theirs and distance is not None:
            found.append((language, distance, 100 * (theirs["cer"]["rate"] - ours["cer"]["rate"])))
    if len(found) < 2:
        return None
    far = max(distance for _, distance, _ in found)
    xs = ticks(0.0, 1.05 * far)
    gains = [gain for _, _, gain in found]
    ys = ticks(min(0.0, *gains), max(0.0, *gains)) if any(gains) else [-1.0, 0.0, 1.0]
    x_end, y_low, y_high = max(xs[-1], 1.05 * far), ys[0], ys[-1]

    def place(distance: float, gain: float) -> tuple[float, float]:
        x = _BOX.left + (_BOX.right - _BOX.left) * distance / x_end
        return x, _BOX.bottom - (_BOX.bottom - _BOX.top) * (gain - y_low) / (y_high - y_low)

    drawn = [_axes(xs, ys, place(0, 0)[1], x_end, (y_low, y_high))]
    taken: list[tuple[float, float]] = []
    spots = {language: place(distance, gain) for language, distance, gain in found}
    for language, distance, gain in found:
        x, y = spots[language]
        name = part.results["languages"][language]["name"]
        told = f"{name} ({language}): {gain:+.1f} points, distance {distance:.3f}"
        mark = (
            f'<rect class="seen" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'
            if part.group_of(language) == "trained"
            else f'<circle class="unseen" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        )
        drawn.append(f"<g><title>{escape(told)}</title>{mark}</g>")
    # Languages never trained on are named first: they are what the plot is about.
    for language in sorted(spots, key=lambda name: part.group_of(name) == "trained"):
        label = _BOX.free_label(spots[language], taken, spots.values())
        if label is not None:
            taken.append(label)
            drawn.append(
                f'<text class="code" x="{label[0]:.1f}" y="{label[1]:.1f}">{language}</text>'
            )
    title = escape(f"Gain of {system} over {baseline} against typological distance")
    view = f"0 0 {_BOX.width:.0f} {_BOX.height:.0f}"
    return (
        f'<svg class="gain" viewBox="{view}" role="img" aria-label="{title}">{"".join(drawn)}</svg>'
    )


def _axes(
    xs: list[float], ys: list[float], zero: float, x_end: float, y_range: tuple[float, float]
) -> str:
    low, high = y_range
    lines = []
    for y in ys:
        at = _BOX.bottom - (_BOX.bottom - _BOX.top) * (y - low) / (high - low)
        lines.append(f'<path class="grid" d="M{_BOX.left} {at:.1f}H{_BOX.right}"/>')
        lines.append(
            f'<text class="tick" x="{_BOX.left - 6}" y="{at + 4:.1f}" text-anchor="end">{short(y)}</text>'
        )
    for x in xs:
        at = _BOX.left + (_BOX.right - _BOX.left) * x / x_end
        lines.append(
            f'<text class="tick" x="{at:.1f}" y="{_BOX.bottom + 16}" text-anchor="middle">{short(x)}</text>'
        )
    lines.append(f'<path class="zero" d="M{_BOX.left} {zero:.1f}H{_BOX.right}"/>')
    middle = (_BOX.left + _BOX.right) / 2
    lines.append(
        f'<text class="axis" x="{middle}" y="{_BOX.bottom + 35}" text-anchor="middle">'
        "distance to the nearest other training language</text>"
    )
    return "".join(lines)
