"""Diffs, projection and markers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madg_speech.evaluation.report.diff import diff_html, diff_markdown, segments
from madg_speech.evaluation.report.map import HEIGHT, WIDTH, colour, project, spread


@given(st.text(max_size=30), st.text(max_size=30))
def test_segments_give_both_texts_back(reference: str, hypothesis: str) -> None:
    runs = list(segments(reference, hypothesis))
    assert "".join(text for kind, text in runs if kind != "insert") == reference
    assert "".join(text for kind, text in runs if kind != "delete") == hypothesis


def test_diffs_are_marked_and_escaped() -> None:
    assert diff_html("a <b> c", "a <d> c") == (
        "a &lt;<del>b</del>&gt; c",
        "a &lt;<ins>d</ins>&gt; c",
    )
    assert diff_html("ab", "a b") == ("ab", "a<ins>␣</ins>b")
    assert diff_markdown("a*c|", "a*d|") == (r"a\*~~c~~\|", r"a\***d**\|")
    assert diff_html("weg", "") == ("<del>weg</del>", "")


def test_places_lie_on_the_map_and_north_is_up() -> None:
    for longitude in (-180, 0, 180):
        for latitude in (-55, 0, 83):
            x, y = project(longitude, latitude)
            assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    # Equal area: the band within 30 degrees of the equator is half of the sphere. Its height times
    # mean width must be that of the caps.
    step = np.linspace(-90, 90, 2001)
    y = np.array([project(0, latitude)[1] for latitude in step])
    width = np.array([project(180, latitude)[0] - project(-180, latitude)[0] for latitude in step])
    strips = -np.diff(y) * (width[1:] + width[:-1]) / 2
    inside = np.abs((step[1:] + step[:-1]) / 2) < 30
    assert strips[inside].sum() == pytest.approx(strips.sum() / 2, rel=1e-3)


def test_markers_part_and_far_ones_stay() -> None:
    crowd = np.array([[500.0, 200.0]] * 6 + [[100.0, 100.0]])
    spots = spread(crowd, 29.0)
    gaps = np.sqrt(((spots[:, None] - spots[None]) ** 2).sum(-1)) + np.eye(7) * 1000
    assert gaps.min() > 28
    assert np.abs(spots[6] - crowd[6]).max() < 1
    assert np.abs(spots[:6] - crowd[:6]).max() < 60


def test_colours_grow_darker() -> None:
    def lightness(share: float) -> float:
        code = colour(share)
        red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    steps = [lightness(i / 20) for i in range(21)]
    assert steps == sorted(steps, reverse=True)
    assert colour(-1) == colour(0) and colour(2) == colour(1)
