"""What do adapters cost when reading? Encoder with adapters in every layer against transformers' own.

Run: ``python -m tests.benchmarks.forward``. Goal: at most 1.03 times.
"""

import torch

from tests.benchmarks.measure import Result, compare, main
from tests.benchmarks.models import ALL, Batch, adapted, encoder


def measure(quick: bool) -> list[Result]:
    rows, seconds = (4, 4) if quick else (8, 10)
    plain = encoder(seconds)
    model = adapted(plain, ALL, "madg-ls").eval()
    backbone, batch = model.backbone, Batch.random(rows, seconds)
    with torch.inference_mode():
        active = model.adapters_for(["swh"] * rows)

        def ours() -> torch.Tensor:
            hidden, lengths = backbone.embed(batch.features, batch.lengths)
            with model.injection.use(active):
                return backbone.finish(backbone.run_layers(hidden, lengths))

        def theirs() -> torch.Tensor:
            return plain(batch.features).last_hidden_state

        ratio, detail = compare(ours, theirs, 9 if quick else 21)
    return [
        Result(
            "adapted encoder forward / plain transformers encoder (6 adapters, bottleneck 32)",
            ratio,
            "x",
            1.03,
            f"{rows} x {seconds} s; {detail}",
        )
    ]


if __name__ == "__main__":
    main(measure)
