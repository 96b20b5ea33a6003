"""The finished run -> the checkpoint that ships with the package: half precision, measured card.

python recipes/default/release.py runs/default/checkpoint runs/default-recorded/results.json \
    madg_speech/checkpoints/default

The card's tables and the error rate that `transcribe` tells its users to expect are read from what
`madg-speech evaluate` wrote (see run.sh); nothing is typed in by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from madg_speech.model import CARD, AdaptedModel, read_model_config
from madg_speech.splits import training_group

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


def main(run: Path, results_file: Path, target: Path) -> None:
    """Write the release to ``target``, which holds the LICENSE of the weights."""
    scores = json.loads(results_file.read_text(encoding="utf-8"))["scores"]["romanized"]
    spec = read_model_config(run)
    groups: dict[str, list[str]] = {}
    generated = next(name for name in scores if name.endswith(".generated"))
    for language in scores[generated]:
        groups.setdefault(training_group(language, spec.languages), []).append(language)
    expected = {
        group: round(mean(_cer(scores[generated][name]) for name in members), 3)
        for group, members in groups.items()
    }
    card = (run / CARD).read_text(encoding="utf-8") + _table(scores, groups) + LICENCE
    licence = (target / "LICENSE").read_text(encoding="utf-8")
    model = AdaptedModel.from_pretrained(run)
    model.spec = spec.model_copy(update={"expected_cer": expected})
    model.save_pretrained(target, card, torch.float16)
    (target / "LICENSE").write_text(licence, encoding="utf-8")
    size = sum(file.stat().st_size for file in target.iterdir()) / 1e6
    print(f"{target}: {size:.1f} MB, expected CER {expected}")


def _cer(score: dict[str, Any]) -> float:
    return float(score["all"]["cer"]["rate"])


def _table(scores: dict[str, Any], groups: dict[str, list[str]]) -> str:
    systems = list(scores)
    lines = [
        "",
        "## Scores on recorded speech",
        "",
        "CER, romanised, greedy, pooled over a language's utterances; `run.sh` has the command. Groups:",
        "trained on, or how near the nearest trained language is.",
        "",
        f"| language | group | utterances | {' | '.join(systems)} |",
        f"|---|---|---|{'---|' * len(systems)}",
    ]
    for group, members in sorted(groups.items()):
        for language in sorted(members):
            cells = [f"{_cer(scores[system][language]):.3f}" for system in systems]
            utterances = scores[systems[0]][language]["all"]["utterances"]
            lines.append(f"| {language} | {group} | {utterances} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
