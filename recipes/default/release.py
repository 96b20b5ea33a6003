"""The finished run -> the checkpoint that ships with the package: half precision, measured card.

python recipes/default/release.py runs/default/checkpoint madg_speech/checkpoints/default \
    runs/default-recorded/results.json runs/default-reserved/results.json

The card's tables are read from what `madg-speech evaluate` wrote (see run.sh), on recorded speech and on
synthetic speech of languages kept out of all training; the error rate that `transcribe` tells its users
to expect is that of recorded speech. Nothing is typed in by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from madg_speech.checkpoint import CARD, read_model_config
from madg_speech.model import AdaptedModel
from madg_speech.splits import training_group

Scores = dict[str, dict[str, Any]]
"""System -> language -> what `evaluate` wrote."""

LICENCE = """
## Licence

These weights: GPL-3.0-or-later (see LICENSE beside this file), since they were trained in part on
recordings under GPL-3.0-or-later, GPL-2.0-or-later and CC BY-SA, and on speech made by eSpeak NG
(GPL-3.0-or-later). The code that loads them is under Apache-2.0. Whisper-base is under MIT.

## What it is not

Most synthetic languages were heard from one synthesiser only, most recorded ones from a single
speaker; scores on a language's own recordings say little about other speakers, rooms and topics.
Read the romanised output of a language never trained on as a rough phonetic sketch.
"""


def main(run: Path, target: Path, recorded: Path, reserved: Path) -> None:
    """Write the release to ``target``, which holds the LICENSE of the weights."""
    spec = read_model_config(run)
    heard, synthetic = (
        json.loads(file.read_text(encoding="utf-8"))["scores"]["romanized"]
        for file in (recorded, reserved)
    )
    groups = _groups(heard, spec.languages)
    generated = heard[next(name for name in heard if name.endswith(".generated"))]
    expected = {
        group: round(mean(_cer(generated[name]) for name in members), 3)
        for group, members in groups.items()
    }
    card = (
        (run / CARD).read_text(encoding="utf-8")
        + "\n## Scores on recorded speech\n\n"
        + "CER, romanised, greedy, pooled over a language's utterances; `run.sh` has the command. Groups:\n"
        + "trained on, or how near the nearest trained language is.\n\n"
        + _table(heard, groups)
        + "\n## Scores on synthetic speech of languages kept out of all training\n\n"
        + "The synthesiser, eSpeak NG, was heard in training, in other languages.\n\n"
        + _table(synthetic, _groups(synthetic, spec.languages))
        + LICENCE
    )
    licence = (target / "LICENSE").read_text(encoding="utf-8")
    model = AdaptedModel.from_pretrained(run)
    model.spec = spec.model_copy(update={"expected_cer": expected})
    model.save_pretrained(target, card, torch.float16)
    (target / "LICENSE").write_text(licence, encoding="utf-8")
    size = sum(file.stat().st_size for file in target.iterdir()) / 1e6
    print(f"{target}: {size:.1f} MB, expected CER {expected}")


def _cer(score: dict[str, Any]) -> float:
    return float(score["all"]["cer"]["rate"])


def _groups(scores: Scores, trained: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for language in next(iter(scores.values())):
        groups.setdefault(training_group(language, trained), []).append(language)
    return groups


def _table(scores: Scores, groups: dict[str, list[str]]) -> str:
    """A line a language, a mean a group, a column a system."""
    systems = list(scores)
    lines = [
        f"| language | group | utterances | {' | '.join(systems)} |",
        f"|---|---|---|{'---|' * len(systems)}",
    ]
    for group, members in sorted(groups.items()):
        for language in sorted(members):
            cells = [f"{_cer(scores[system][language]):.3f}" for system in systems]
            utterances = scores[systems[0]][language]["all"]["utterances"]
            lines.append(f"| {language} | {group} | {utterances} | {' | '.join(cells)} |")
        means = [
            f"{mean(_cer(scores[system][name]) for name in members):.3f}" for system in systems
        ]
        lines.append(f"| **mean** | {group} | | {' | '.join(means)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
