"""Where the languages are spoken, coloured by error rate, as SVG."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madg_speech.evaluation.report.parts import Part
from madg_speech.evaluation.report.sheet import percent
from madg_speech.languages import resolve

WIDTH, HEIGHT = 1000, 436
_NORTH, _SOUTH = 84.0, -57.0
_SCALE = 184.0
_TOP = 242.0  # of the equator, so that the northern edge lies at the top
_LEGEND = 190.0  # width of the colour scale
# Nine samples of viridis (Smith and van der Walt, CC0), light for few errors: even in lightness, so
# it stays in order for colour-blind readers and in grey.
COLOURS = ("#fde725", "#addc30", "#5ec962", "#28ae80", "#21918c", "#2c728e", "#3b528b", "#472d7b",
           "#440154")  # fmt: skip


def project(longitude: float, latitude: float) -> tuple[float, float]:
    """Degrees -> x, y in the picture, by Equal Earth (Šavrič, Patterson and Jenny 2018)."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    t = asin(sqrt(3) / 2 * sin(radians(latitude)))
    slope = 9 * a4 * t**8 + 7 * a3 * t**6 + 3 * a2 * t**2 + a1
    x = 2 * sqrt(3) * radians(longitude) * cos(t) / (3 * slope)
    y = a4 * t**9 + a3 * t**7 + a2 * t**3 + a1 * t
    return WIDTH / 2 + _SCALE * x, _TOP - _SCALE * y


def language_map(part: Part, system: str) -> str | None:
    """SVG with a marker for each scored language that has coordinates; None if there is none.

    Land is the path with the id ``land`` of the page. Squares were trained on, circles not; crosses
    are training languages that were not scored. Markers that would hide each other are moved apart, and
    a line leads to the true place.
    """
    placed: list[tuple[str, float, float]] = []
    for language in part.languages:
        about = part.results["languages"][language]
        if about.get("latitude") is not None and part.score(system, language):
            placed.append((language, *project(about["longitude"], about["latitude"])))
    if not placed:
        return None
    rates = [part.score(system, language)["cer"]["rate"] for language, _, _ in placed]  # type: ignore[index]
    low, high = _bounds(rates)
    radius = 13.0 if len(placed) <= 60 else 9.0
    spots = spread(np.array([[x, y] for _, x, y in placed]), 2 * radius + 3)
    lines, markers = [], []
    for (language, x, y), rate, (at_x, at_y) in zip(placed, rates, spots, strict=True):
        if abs(at_x - x) + abs(at_y - y) > 2:
            lines.append(f'<path class="lead" d="M{x:.1f} {y:.1f}L{at_x:.1f} {at_y:.1f}"/>')
            lines.append(f'<circle class="place" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
        markers.append(
            _marker(part, system, language, (at_x, at_y), radius, (rate - low) / (high - low))
        )
    scored = {language for language, _, _ in placed}
    crosses = (_cross(code) for code in part.trained() if code not in scored)
    label = f"World map: {part.rate_name()} of {system} at the place of each language"
    return (
        f'<svg class="map" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<path class="sea" d="{_frame()}"/><use class="land" href="#land"/>'
        f"{''.join(crosses)}{''.join(lines)}{''.join(markers)}{_legend(part.rate_name(), low, high)}</svg>"
    )


def spread(points: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Move points [n, 2] until no two are nearer than ``apart``, each as little as need be."""
    # Points in one place need a direction to part in.
    moved = points + np.random.default_rng(0).normal(0, 0.01, points.shape)
    for _ in range(400):
        gap = moved[:, None] - moved[None]
        distance = np.sqrt((gap**2).sum(-1)) + np.eye(len(points)) * 2 * apart
        overlap = np.clip(apart - distance, 0, None)
        if not overlap.any():
            break
        moved = moved + (gap / distance[..., None] * overlap[..., None]).sum(1) * 0.3
    return np.asarray(np.clip(moved, apart / 2, (WIDTH - apart / 2, HEIGHT - apart / 2)))


def colour(share: float) -> str:
    """The colour at a place between 0 (few errors) and 1, as #rrggbb."""
    place = min(max(share, 0.0), 1.0) * (len(COLOURS) - 1)
    below = min(int(place), len(COLOURS) - 2)
    a, b = (_rgb(COLOURS[i]) for i in (below, below + 1))
    mixed = (round(p + (q - p) * (place - below)) for p, q in zip(a, b, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _marker(
    part: Part, system: str, language: str, spot: Sequence[float], radius: float, share: float
) -> str:
    x, y = spot
    fill = colour(share)
    red, green, blue = _rgb(fill)
    ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "#fff"
    about = part.results["languages"][language]
    told = [f"{about['name']} ({language})"]
    told += [
        f"{name}: {part.rate_name()} {percent(score['cer']['rate'])} %"
        for name in part.systems
        if (score := part.score(name, language))
    ]
    side = 1.75 * radius
    shape = (
        f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" height="{side:.1f}" '
        f'rx="1.5" fill="{fill}"/>'
        if part.group_of(language) == "trained"
        else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}"/>'
    )
    return (
        f'<g class="marker"><title>{escape(chr(10).join(told))}</title>{shape}'
        f'<text x="{x:.1f}" y="{y + radius * 0.27:.1f}" font-size="{radius * 0.8:.1f}" fill="{ink}">'
        f"{escape(language)}</text></g>"
    )


def _cross(code: str) -> str:
    language = resolve(code)
    if language.latitude is None or language.longitude is None:
        return ""
    x, y = project(language.longitude, language.latitude)
    return (
        f'<path class="cross" d="M{x - 3:.1f} {y:.1f}h6M{x:.1f} {y - 3:.1f}v6">'
        f"<title>{escape(language.name)}: trained on, not scored</title></path>"
    )


def _legend(rate: str, low: float, high: float) -> str:
    left, top, count = 20.0, HEIGHT - 26.0, 40
    step = _LEGEND / count
    cells = "".join(
        f'<rect x="{left + i * step:.1f}" y="{top}" width="{step + 0.4:.1f}" height="9" '
        f'fill="{colour(i / (count - 1))}"/>'
        for i in range(count)
    )
    return (
        f'<g class="legend">{cells}'
        f'<text x="{left}" y="{top - 6}">{rate} %</text>'
        f'<text x="{left}" y="{top + 21}">{100 * low:.0f}</text>'
        f'<text x="{left + _LEGEND}" y="{top + 21}" text-anchor="end">{100 * high:.0f}</text>'
        f'<rect class="key" x="{left}" y="{top - 75}" width="11" height="11" rx="1.5"/>'
        f'<text x="{left + 18}" y="{top - 66}">trained on</text>'
        f'<circle class="key" cx="{left + 5.5}" cy="{top - 50}" r="6"/>'
        f'<text x="{left + 18}" y="{top - 46}">never trained on</text>'
        f'<path class="cross" d="M{left + 1.5} {top - 30}h8M{left + 5.5} {top - 34}v8"/>'
        f'<text x="{left + 18}" y="{top - 26}">trained on, not scored</text></g>'
    )


def _bounds(rates: Iterable[float]) -> tuple[float, float]:
    """The tens of per cent around all rates; beyond 100 % colours say no more."""
    values = [min(rate, 1.0) for rate in rates]
    low, high = int(10 * min(values)) / 10, -int(-10 * max(values) // 1) / 10
    return low, max(high, low + 0.1)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@cache
def land() -> str:
    """The world's land as a path: given once in a page, under the id ``land``."""
    stored: dict[str, Any] = json.loads(
        files(__package__).joinpath("land.json").read_text(encoding="utf-8")
    )
    return "".join(_path(outline) for outline in stored["outlines"])


def _path(tenths: Sequence[int]) -> str:
    points = (
        project(x / 10, min(max(y / 10, _SOUTH), _NORTH))
        for x, y in zip(tenths[::2], tenths[1::2], strict=True)
    )
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


@cache
def _frame() -> str:
    latitudes = [_SOUTH + i * (_NORTH - _SOUTH) / 60 for i in range(61)]
    edge = [project(-180, y) for y in latitudes] + [project(180, y) for y in reversed(latitudes)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in edge) + "Z"
