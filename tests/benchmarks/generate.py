"""How long until a language has its adapters? Vector to weights on one core.

Run: ``python -m tests.benchmarks.generate``. Goal: under 5 ms.
"""

from functools import partial
from statistics import median

import torch

from tests.benchmarks.measure import Result, cost, main
from tests.benchmarks.models import ALL, LANGUAGES, adapted, encoder


def measure(quick: bool) -> list[Result]:
    rounds = 50 if quick else 300
    results = []
    for kind in ("two-stage", "madg-ls", "madg"):
        source = adapted(encoder(1), ALL, kind).eval().source
        with torch.inference_mode():
            source(LANGUAGES)
            times = [cost(partial(source, [LANGUAGES[i % 16]])) for i in range(rounds)]
        results.append(
            Result(
                f"generating one language's adapters, {kind} (6 layers)",
                median(times) * 1000,
                "ms",
                5.0,
                f"median of {rounds}",
            )
        )
    return results


if __name__ == "__main__":
    main(measure)
