"""The study's plots as SVG that stands alone: scatter with codes, bars with intervals, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle

from madg_speech.evaluation.report.frame import Frame, ticks

BLUE, ORANGE = "#0b5cad", "#c2410c"
# told apart by people of any colour vision (Okabe and Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#6b7280")
_BOX = Frame(width=420.0, height=352.0, left=56.0, right=406.0, top=18.0, bottom=244.0)


@dataclass(frozen=True)
class Bar:
    """A system's macro CER in two conditions, each with its interval."""

    label: str
    values: tuple[float, float]
    intervals: tuple[tuple[float, float] | None, tuple[float, float] | None]


@dataclass(frozen=True)
class Axes:
    """Maps numbers to places in the picture, and draws its own lines."""

    xs: Sequence[float]
    ys: Sequence[float]
    x_label: str
    y_label: str

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies."""
        across = (x - self.xs[0]) / (self.xs[-1] - self.xs[0])
        up = (y - self.ys[0]) / (self.ys[-1] - self.ys[0])
        return (
            _BOX.left + (_BOX.right - _BOX.left) * across,
            _BOX.bottom - (_BOX.bottom - _BOX.top) * up,
        )

    def draw(self, x_names: Mapping[float, str] | None = None) -> str:
        """Grid, numbers and labels; ``x_names`` in place of the numbers along x."""
        lines = []
        for y in self.ys:
            at = self.place(self.xs[0], y)[1]
            colour = "#374151" if abs(y) < 1e-9 else "#e5e7eb"
            lines.append(f'<path stroke="{colour}" d="M{_BOX.left} {at:.1f}H{_BOX.right}"/>')
            lines.append(_text(_BOX.left - 6, at + 4, f"{y:g}", "end"))
        named = x_names or {x: f"{x:g}" for x in self.xs}
        for x, name in named.items():
            lines.append(_text(self.place(x, self.ys[0])[0], _BOX.bottom + 17, name, "middle"))
        middle = (_BOX.left + _BOX.right) / 2
        lines.append(_text(middle, _BOX.bottom + 38, self.x_label, "middle"))
        across = (_BOX.top + _BOX.bottom) / 2
        lines.append(
            f'<text transform="translate(14 {across}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )
        return "".join(lines)


def scatter(
    points: Mapping[str, tuple[float, float]],
    groups: Mapping[str, str],
    x_label: str,
    y_label: str,
    title: str,
) -> str:
    """A mark and a code for each language, coloured by its group."""
    across, values = ([point[i] for point in points.values()] for i in (0, 1))
    axes = Axes(
        _enclosing(min(across), max(across)),
        _enclosing(min(0.0, *values), max(0.0, *values)),
        x_label,
        y_label,
    )
    names = sorted(set(groups.values()))
    colour = dict(zip(names, cycle(COLOURS), strict=False))
    drawn = [axes.draw()]
    spots = {name: axes.place(*point) for name, point in points.items()}
    for name, (x, y) in spots.items():
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour[groups[name]]}"/>')
    taken: list[tuple[float, float]] = []
    for name, spot in spots.items():
        label = _BOX.free_label(spot, taken, spots.values())
        if label is not None:
            taken.append(label)
            drawn.append(_text(*label, name))
    return _picture(_BOX.width, _BOX.height, [*drawn, _legend(colour)], title)


def curves(
    series: Mapping[str, Mapping[float, float]],
    x_label: str,
    y_label: str,
    title: str,
) -> str:
    """One line a name over evenly spaced x (sizes that grow by factors)."""
    sizes = sorted({x for points in series.values() for x in points})
    values = [y for points in series.values() for y in points.values()]
    axes = Axes([-0.3, len(sizes) - 0.7], _enclosing(min(values), max(values)), x_label, y_label)
    drawn = [axes.draw({float(i): f"{x:g}" for i, x in enumerate(sizes)})]
    colour = dict(zip(series, cycle(COLOURS), strict=False))
    for name, points in series.items():
        spots = [axes.place(sizes.index(x), y) for x, y in sorted(points.items())]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        drawn.append(f'<path fill="none" stroke-width="2" stroke="{colour[name]}" d="M{path}"/>')
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour[name]}"/>' for x, y in spots
        ]
    return _picture(_BOX.width, _BOX.height, [*drawn, _legend(colour)], title)


def bars(rows: Sequence[Bar], conditions: tuple[str, str], title: str) -> str:
    """Two horizontal bars a system, with whiskers."""
    left, right, row, top = 230.0, 640.0, 40.0, 34.0
    tops = [max(v, (i or (0, 0))[1]) for bar in rows for v, i in _pairs(bar)]
    xs = ticks(0.0, min(1.0, max(tops)))
    end, bottom = xs[-1], top + row * len(rows)

    def at(rate: float) -> float:
        return left + (right - left) * min(rate / end, 1.0)

    drawn = []
    for x in xs:
        drawn.append(f'<path stroke="#e5e7eb" d="M{at(x):.1f} {top - 4}V{bottom}"/>')
        drawn.append(_text(at(x), bottom + 17, f"{x:g}", "middle"))
    for number, bar in enumerate(rows):
        y = top + row * number
        drawn.append(_text(left - 8, y + 22, bar.label, "end"))
        for which, (value, interval) in enumerate(_pairs(bar)):
            high = y + 4 + 15 * which
            colour = (ORANGE, BLUE)[which]
            width = at(value) - left
            drawn.append(
                f'<rect x="{left}" y="{high}" width="{width:.1f}" height="13" fill="{colour}"/>'
            )
            if interval:
                drawn.append(
                    f'<path stroke="#111" d="M{at(interval[0]):.1f} {high + 6.5}H{at(interval[1]):.1f}"/>'
                )
            drawn.append(f'<g fill="#fff">{_text(left + 5, high + 11, f"{value:.3f}")}</g>')
    drawn.append(_text((left + right) / 2, bottom + 36, "character error rate", "middle"))
    legend = _legend(dict(zip(conditions, (ORANGE, BLUE), strict=True)), left, 14)
    return _picture(right + 20, bottom + 46, [*drawn, legend], title)


def _enclosing(low: float, high: float) -> list[float]:
    found = ticks(low, high)
    return found if len(found) > 1 else [low - 1, low, low + 1]


def _pairs(bar: Bar) -> list[tuple[float, tuple[float, float] | None]]:
    return list(zip(bar.values, bar.intervals, strict=True))


def _legend(colours: Mapping[str, str], left: float = 20.0, y: float = _BOX.bottom + 62) -> str:
    """Squares and names, in as many lines as they need."""
    parts, x = [], left
    for name, colour in colours.items():
        wide = 26 + 7 * len(name)
        if x > left and x + wide > left + 400:
            x, y = left, y + 17
        parts.append(f'<rect x="{x:.1f}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 14, y, name))
        x += wide
    return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _picture(width: float, height: float, drawn: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )
