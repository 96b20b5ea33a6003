"""The model card of a pretrained checkpoint: what it was trained on, under which licence, how well."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from madg_speech.checkpoint import ModelConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.data.corpus import Corpus

TRAINED = {
    "ctc": "CTC over {} languages, romanised output.",
    "phones": "CTC over {} languages, IPA output (eSpeak NG's, plain segments).",
    "best-rq": "Adapters pretrained without text over {} languages by masked prediction of "
    "random-projection targets (BEST-RQ): a start for CTC, no transcriber.",
    "contrastive": "Adapters pretrained without text over {} languages by wav2vec 2.0's contrastive "
    "objective: a start for CTC, no transcriber.",
    "seq2seq": "Encoder adapters trained over {} languages through Whisper's frozen text decoder, which "
    "writes native script: `madg-speech transcribe --checkpoint THIS --lang CODE talk.wav`.",
}
SCORED = {
    "cer": "CER (romanised, greedy, pooled)",
    "per": "PER (greedy, pooled)",
    "loss": "loss (nats a masked frame)",
    "token_loss": "loss (nats a token, teacher forcing)",
}


def training_card(
    model: ModelConfig,
    config: PretrainConfig,
    train: Corpus,
    dev_scores: dict[str, dict[str, float]],
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
        f"{TRAINED[_trained_for(config)].format(len(model.languages))} Trained by madg-speech; the "
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
        f"rate {t.learning_rate:g}, language smoothing {t.smoothing:g}, seed {t.seed}"
        f"{f', from the adapters of {config.init_from}' if config.init_from else ''}.",
        "",
        f"Languages: {' '.join(model.languages)}",
    ]
    revision = f"revision {backbone.revision}" if backbone.revision else "revision not pinned"
    lines += ["", f"Backbone: {backbone.name}, {revision}; frozen, not part of these weights."]
    if dev_scores:
        lines += ["", f"| dev language | {' | '.join(SCORED.get(m, m) for m in dev_scores)} |"]
        lines += ["|---" * (len(dev_scores) + 1) + "|"]
        for name in sorted(next(iter(dev_scores.values()))):
            cells = " | ".join(f"{values[name]:.3f}" for values in dev_scores.values())
            lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n" + (USE if _trained_for(config) == "ctc" else "")


def _trained_for(config: PretrainConfig) -> str:
    phones = config.objective == "ctc" and config.vocabulary == "phones"
    return "phones" if phones else config.objective


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
