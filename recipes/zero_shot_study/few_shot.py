"""The few-shot curve: how far do minutes of a held-out language go, from which start?

    python recipes/zero_shot_study/few_shot.py --data $MADG_DATA --work runs/zero_shot_study

``few_shot`` of ``plan.yaml`` names languages, minutes, steps and starts; each needs the cells of its fold
that it starts from. A cell is ``<fold>-<seed>-<language>-<minutes>-<start>``; its counts go to
``results/few_shot/``. --fold, --minutes and --start narrow it. Killed at any moment, it goes on where it
stopped; a cell whose start is not trained yet is named and left out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from folds import HERE, read_plan, romanized
from scoring import count_errors, hear

from madg_speech.adapters import AdapterWeights
from madg_speech.cache import atomic_path
from madg_speech.conditioning import ADAPTER
from madg_speech.data.manifest import Utterance, read_manifest, write_manifest
from madg_speech.model import AdaptedModel
from madg_speech.splits import find_leaks
from madg_speech.training.refine import RefineConfig, refine

RESULTS = HERE / "results" / "few_shot"


def main() -> None:
    """Every missing cell of the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with speech/<iso>/")
    parser.add_argument("--work", type=Path, required=True, help="where run.py put its cells")
    parser.add_argument("--fold", help="only this fold")
    parser.add_argument("--minutes", type=float, help="only this size")
    parser.add_argument("--start", help="only this start")
    parser.add_argument("--device", help="cpu, cuda ...; the best there is when left out")
    asked = parser.parse_args()
    plan = read_plan()["few_shot"]
    for fold, language in plan["languages"].items():
        for seed in plan["seeds"]:
            for minutes in plan["steps"]:
                for start in plan["starts"]:
                    if (
                        asked.fold in (None, fold)
                        and asked.minutes in (None, minutes)
                        and asked.start in (None, start)
                    ):
                        run_cell(plan, fold, seed, language, minutes, start, asked)


def run_cell(
    plan: dict[str, Any],
    fold: str,
    seed: int,
    language: str,
    minutes: float,
    start: str,
    asked: argparse.Namespace,
) -> None:
    """Refine and score one cell; nothing if its result is there."""
    cell = f"{fold}-{seed}-{language}-{minutes}-{start}"
    result = RESULTS / f"{cell}.json"
    if result.is_file():
        return
    how = plan["starts"][start]
    checkpoint = asked.work / f"{fold}-{seed}-{how['cell']}" / "checkpoint"
    if not checkpoint.is_dir():
        print(f"== {cell}: {checkpoint} is not there yet", flush=True)
        return
    began = time.monotonic()
    refined_in = asked.work / "few_shot"
    manifest = refined_in / f"{fold}-{language}-{minutes}.jsonl"
    write_minutes(asked.data, asked.work / fold, language, minutes, manifest)
    config = RefineConfig(
        checkpoint=str(checkpoint.resolve()),
        language=language,
        manifests=(str(manifest.resolve()),),
        tune=how.get("tune", "adapter"),
        start=how["start"],
        steps=plan["steps"][minutes],
        mixed_precision=plan["mixed_precision"],
        seed=seed,
    )
    folder = refined_in / cell
    refined = refine(config, folder, asked.device, resume=(folder / "run").is_dir())
    model = AdaptedModel.from_pretrained(checkpoint)
    model.to(asked.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    adapter = AdapterWeights.load(folder / ADAPTER)[0].to(model.device)
    (heard,) = hear(model, asked.work / fold, "test", plan["cache_limit_gb"], [language])
    description = {
        "cell": cell,
        "config": json.loads(
            config.model_dump_json(exclude={"checkpoint", "manifests", "best_rq"})
        ),
        "from": how["cell"],
        "seconds_of_audio": round(sum(u.seconds for u in read_manifest(manifest)), 1),
        "dev_cer": [round(refined.before, 4), round(refined.after, 4)],
        "seconds": round(time.monotonic() - began),
        "errors": {"test": {"own": {language: count_errors(model, heard, adapter)}}},
    }
    with atomic_path(result) as draft:
        draft.write_text(json.dumps(description, separators=(",", ":")) + "\n", "utf-8")
    print(f"== {cell}: {description['seconds']} s, dev {description['dev_cer']}", flush=True)


def write_minutes(data: Path, fold: Path, language: str, minutes: float, manifest: Path) -> None:
    """Write the first utterances of one random order that fill so many minutes.

    So 1 minute is part of 5, and 5 of 20. No recording of the fold's test set is among them, and no
    utterance whose text lies within edit distance 1 or 20 % of one of its texts.
    """
    tested = [u for u in read_manifest(fold / "test.jsonl") if u.lang == language]
    recordings = {u.audio.resolve() for u in tested}
    rows = read_manifest(data / "speech" / language / "train.jsonl")
    texts = {u.id: romanized(u) for u in rows if u.audio.resolve() not in recordings}
    leaked = find_leaks(texts, {romanized(u) for u in tested})
    usable = [u for u in rows if texts.get(u.id) and u.id not in leaked]
    order = np.random.default_rng(0).permutation(len(usable))
    chosen: list[Utterance] = []
    for i in order:
        if sum(u.seconds for u in chosen) >= 60 * minutes:
            break
        chosen.append(usable[i])
    else:
        raise SystemExit(f"{language} has no {minutes} minutes beside its test utterances")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, chosen)


if __name__ == "__main__":
    main()
