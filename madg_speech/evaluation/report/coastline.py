"""Makes ``land.json`` from Natural Earth's countries (1:110 million).

    pip download --no-deps "geopandas==0.14.4"
    unzip geopandas-0.14.4-py3-none-any.whl 'geopandas/datasets/naturalearth_lowres/*'
    python -m madg_speech.evaluation.report.coastline \
        geopandas/datasets/naturalearth_lowres/naturalearth_lowres.shp

Natural Earth is in the public domain (naturalearthdata.com/about/terms-of-use). Neighbouring countries
share their border's points, so an edge that two countries have is no coast: what is left is chained
into outlines. Countries themselves are not kept: the map shows languages, not states.
"""

from __future__ import annotations

import json
import struct
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

Point = tuple[float, float]
TARGET = Path(__file__).with_name("land.json")
SOUTHERNMOST = -60.0  # without Antarctica


def polygon_rings(data: bytes) -> list[list[Point]]:
    """Rings of a shapefile of polygons (ESRI Shapefile Technical Description, July 1998)."""
    rings, place = [], 100
    while place < len(data):
        (words,) = struct.unpack(">i", data[place + 4 : place + 8])
        record = data[place + 8 : place + 8 + 2 * words]
        place += 8 + 2 * words
        parts, points = struct.unpack("<2i", record[36:44])
        starts = struct.unpack(f"<{parts}i", record[44 : 44 + 4 * parts])
        flat = struct.unpack(f"<{2 * points}d", record[44 + 4 * parts :])
        all_points = [
            (round(x, 4), round(y, 4)) for x, y in zip(flat[::2], flat[1::2], strict=True)
        ]
        rings += [all_points[a:b] for a, b in zip(starts, [*starts[1:], points], strict=True)]
    return rings


def coasts(rings: list[list[Point]]) -> list[list[Point]]:
    """Outlines of the rings' union: edges that no second ring runs in the other direction."""
    edges = {pair for ring in rings for pair in pairwise(ring)}
    following: dict[Point, list[Point]] = defaultdict(list)
    for a, b in sorted(edges):
        if (b, a) not in edges:
            following[a].append(b)
    outlines = []
    while following:
        start = next(iter(following))
        outline = [start]
        while outline[-1] in following:
            choices = following[outline[-1]]
            outline.append(choices.pop())
            if not choices:
                del following[outline[-2]]
        outlines.append(outline)
    return outlines


def tenths(outline: list[Point]) -> list[int]:
    """Longitude and latitude in turn, in tenths of a degree; points that fall together become one."""
    points: list[tuple[int, int]] = []
    for x, y in outline:
        point = (round(10 * x), round(10 * y))
        if not points or point != points[-1]:
            points.append(point)
    return [number for point in points for number in point]


def main() -> None:
    """Read the shapefile named on the command line and write ``TARGET``."""
    rings = polygon_rings(Path(sys.argv[1]).read_bytes())
    kept = [tenths(o) for o in coasts(rings) if max(y for _, y in o) > SOUTHERNMOST]
    outlines = [numbers for numbers in kept if len(numbers) >= 8]
    about = {
        "source": "Natural Earth, countries 1:110m, borders dissolved (naturalearthdata.com)",
        "license": "public domain",
        "unit": "tenths of a degree: longitude, latitude, longitude, latitude ...",
    }
    TARGET.write_text(json.dumps(about | {"outlines": outlines}, separators=(",", ":")) + "\n")
    print(f"{TARGET}: {len(outlines)} outlines, {sum(map(len, outlines)) // 2} points")


if __name__ == "__main__":
    main()
