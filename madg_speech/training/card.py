"""The model card of a pretrained checkpoint: what it was trained on, under which licence, how well."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from madg_speech.config import PretrainConfig
from madg_speech.data.corpus import Corpus
from madg_speech.model import ModelConfig


def training_card(
    model: ModelConfig, config: PretrainConfig, train: Corpus, dev_rates: dict[str, float]
) -> str:
    """Markdown that names sources, hours, licences and dev scores; nothing in it is assumed.

    Its YAML head is what the Hugging Face hub reads. It names no licence for the weights: that is
    for who publishes them to choose, under the licences listed.
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    languages: dict[tuple[str, str], set[str]] = defaultdict(set)
    table = train.table
    for source, license, language, length in zip(
        table["source"], table["license"], table["lang"], table["seconds"], strict=True
    ):
        key = (source.partition(";")[0] or "not stated", license or "not stated")
        seconds[key] += length
        languages[key].add(language)
    backbone = model.backbone
    lines = [
        "---",
        *([] if Path(backbone.name).is_absolute() else [f"base_model: {backbone.name}"]),
        f"language: [{', '.join(repr(code) for code in model.languages)}]",
        "library_name: madg-speech",
        "pipeline_tag: automatic-speech-recognition",
        "---",
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
    revision = f"revision {backbone.revision}" if backbone.revision else "revision not pinned"
    lines += ["", f"Backbone: {backbone.name}, {revision}; frozen, not part of these weights."]
    if dev_rates:
        lines += ["", "| dev language | CER (romanised, greedy, pooled) |", "|---|---|"]
        lines += [f"| {name} | {rate:.3f} |" for name, rate in sorted(dev_rates.items())]
    return "\n".join(lines) + USE


USE = """
## Intended use

A rough romanised transcript of speech in a language that has little or no transcribed audio, to search,
to sort, or to correct by hand. `madg-speech transcribe --checkpoint THIS --lang CODE talk.wav`.

## Limits

- Output is romanised (uroman): native script needs a lexicon (`--lexicon`).
- Scores above are on the dev data of this run: they say little about other speakers, rooms and topics.
  No score above means that nothing was scored.
- Adapters of languages that are not in the list are generated, never tested; being generated from a
  language's own vector does not make them better than the mean vector's. Compare before relying on it.
- Not for decisions about people, and not for identifying speakers.
"""
