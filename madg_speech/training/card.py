"""The model card of a pretrained checkpoint: what it was trained on, under which licence, how well."""

from __future__ import annotations

from collections import defaultdict

from madg_speech.config import PretrainConfig
from madg_speech.data.corpus import Corpus
from madg_speech.model import ModelConfig


def training_card(
    model: ModelConfig, config: PretrainConfig, train: Corpus, dev_rates: dict[str, float]
) -> str:
    """Markdown that names sources, hours, licences and dev scores; nothing in it is assumed."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    languages: dict[tuple[str, str], set[str]] = defaultdict(set)
    table = train.table
    for source, license, language, length in zip(
        table["source"], table["license"], table["lang"], table["seconds"], strict=True
    ):
        key = (source.partition(";")[0] or "not stated", license or "not stated")
        seconds[key] += length
        languages[key].add(language)
    lines = [
        f"# {model.source.kind} adapters for {model.backbone.name}",
        "",
        f"CTC over {len(model.languages)} languages, romanised output. Trained by madg-speech; the "
        "backbone is named in config.json, not copied.",
        "",
        "| source | licence | languages | hours |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {source} | {license} | {len(languages[source, license])} | {amount / 3600:.2f} |"
        for (source, license), amount in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    t = config.training
    lines += [
        "",
        f"{t.steps} steps of {t.seconds_per_batch * t.gradient_accumulation:g} s of audio, learning "
        f"rate {t.learning_rate:g}, language smoothing {t.smoothing:g}, seed {t.seed}.",
        "",
        f"Languages: {' '.join(model.languages)}",
    ]
    if dev_rates:
        lines += ["", "| dev language | CER (romanised, greedy, pooled) |", "|---|---|"]
        lines += [f"| {name} | {rate:.3f} |" for name, rate in sorted(dev_rates.items())]
    return "\n".join(lines) + "\n"
