"""How does a training step grow with the encoder's width and depth? Whisper tiny to medium.

Two-stage adapters of width H/16 in the upper half of the layers; what lies below the first one, which a
prefix cache saves, is timed apart. ``docs/hooks/scaling.py`` works out larger encoders from these rows.
Run: ``python -m tests.benchmarks.sizes``.
"""

from __future__ import annotations

from statistics import median

from tests.benchmarks.measure import Result, cost, main
from tests.benchmarks.models import LANGUAGES, Batch, adapted, encoder, training_step

SHAPES = ((384, 4), (512, 6), (768, 12), (1024, 24))


def measure(quick: bool) -> list[Result]:
    rows, seconds, rounds = (4, 4, 1) if quick else (8, 8, 5)
    batch = Batch.random(rows, seconds)
    results = []
    for width, layers in SHAPES[:3] if quick else SHAPES:
        plain = encoder(
            seconds,
            d_model=width,
            encoder_layers=layers,
            encoder_attention_heads=width // 64,
            encoder_ffn_dim=4 * width,
        )
        model = adapted(plain, tuple(range(layers // 2, layers)), "two-stage").train()
        hidden, lengths = model.prefix(batch.features, batch.lengths)
        step = training_step(
            model,
            batch.labels,
            lambda: model(lengths, LANGUAGES[:rows], hidden=hidden),  # noqa: B023
        )
        step()
        below = median(
            cost(lambda: model.prefix(batch.features, batch.lengths))  # noqa: B023
            for _ in range(rounds)
        )
        above = median(cost(step) for _ in range(rounds))
        for name, took in (("below the first adapter", below), ("training step above it", above)):
            results.append(
                Result(
                    f"{name}, a second of audio, {width} x {layers}",
                    took / rows / seconds * 1000,
                    "ms",
                    None,
                    f"{rows} x {seconds} s; {rounds} rounds" if rounds > 1 else "one round",
                )
            )
    return results


if __name__ == "__main__":
    main(measure)
