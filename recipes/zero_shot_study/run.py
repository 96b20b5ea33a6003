"""Run the study's cells, one after another: train, decode, keep error counts; finished ones are kept.

    python recipes/zero_shot_study/run.py --data $MADG_DATA --espeak $MADG_ESPEAK --work runs/study first

``first`` is a pass of ``plan.yaml``; --fold, --seed and --arm narrow it. Two of these may run side by
side, one a fold. A cell is ``<fold>-<seed>-<arm>``; its counts go to ``results/<cell>.json``. Killed at
any moment, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from folds import HERE, read_corpora, read_plan, write_fold, write_part
from scoring import Counts, count_errors, hear
from swaps import swaps_of

from madg_speech.cache import atomic_path
from madg_speech.config.files import load_config
from madg_speech.config.speech import PretrainConfig
from madg_speech.model import AdaptedModel
from madg_speech.training.pretrain import pretrain
from madg_speech.training.trainer import last_complete_checkpoint

SETS = ("dev", "test", "seen")


def main() -> None:
    """Make the folds, then every missing cell of the pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a pass of plan.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder with speech/<iso>/")
    parser.add_argument("--espeak", type=Path, required=True, help="what prepare espeak wrote")
    parser.add_argument("--work", type=Path, required=True, help="runs, manifests; rebuildable")
    parser.add_argument("--fold", help="only this fold")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--arm", help="only this arm")
    parser.add_argument("--device", help="cpu, cuda ...; the best there is when left out")
    asked = parser.parse_args()
    plan = read_plan()
    make_folds(plan, asked.data, asked.espeak, asked.work)
    for cell in plan["passes"][asked.name]:
        sets, swaps = cell.get("sets", SETS), cell.get("swaps")
        for fold in cell.get("folds", plan["folds"]):
            for seed in cell.get("seeds", [0]):
                if asked.fold in (None, fold) and asked.seed in (None, seed):
                    for arm in cell["arms"]:
                        if asked.arm in (None, arm):
                            run_cell(fold, seed, arm, asked.work, asked.device, sets, swaps)


def make_folds(plan: dict[str, Any], data: Path, espeak: Path, work: Path) -> None:
    """Manifests under ``work``; ``fold.json``, which says what results mean, is kept with the recipe."""
    with FileLock(work.with_suffix(".lock")):
        missing = [name for name in plan["folds"] if not (work / name / "fold.json").is_file()]
        if not missing:
            return
        corpora = read_corpora(data, espeak)
        for name in missing:
            write_fold(name, corpora, plan, work / name)
            kept = HERE / "folds" / f"{name}.json"
            made = (work / name / "fold.json").read_text("utf-8")
            if kept.is_file() and kept.read_text("utf-8") != made:
                raise SystemExit(f"{kept}: the data given make another fold than the study's")
            with atomic_path(kept) as draft:
                draft.write_text(made, "utf-8")


def run_cell(
    fold: str,
    seed: int,
    arm: str,
    work: Path,
    device: str | None,
    sets: Sequence[str] = SETS,
    swaps: Sequence[str] | None = None,
) -> None:
    """Train one cell, its start first, and score it on ``sets``; nothing if its result has them.

    ``swaps`` are those of :func:`swaps_of` that are scored; all where none is named.
    """
    cell = f"{fold}-{seed}-{arm}"
    result = HERE / "results" / f"{cell}.json"
    known = json.loads(result.read_text("utf-8")) if result.is_file() else {"errors": {}}
    missing = [name for name in sets if name not in known["errors"]]
    if not missing:
        return
    config = cell_config(fold, seed, arm, work)
    if config.init_from and not Path(config.init_from).is_dir():
        run_cell(fold, seed, read_plan()["starts"][arm], work, device, sets, swaps)
    began = time.monotonic()
    run = Path(config.output)
    if not (run / "checkpoint").is_dir():
        print(f"== {cell}", flush=True)
        pretrain(config, work / fold, device, resume=run.is_dir())
    model = AdaptedModel.from_pretrained(run / "checkpoint")
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    errors = {name: count_set(model, config, work / fold, name, swaps) for name in missing}
    last = last_complete_checkpoint(run)
    state = json.loads((last / "trainer_state.json").read_text()) if last else {}
    dev = [entry["eval_cer"] for entry in state.get("log_history", ()) if "eval_cer" in entry]
    places = {"data", "output", "init_from", "init_typology_from"}  # of this machine
    description = {
        "cell": cell,
        "config": json.loads(config.model_dump_json(exclude=places)),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "dev_cer_during_training": dev,
        "seconds": round(time.monotonic() - began),
    }
    # A cell that was scored before keeps what was written down then.
    description = description | known | {"errors": known["errors"] | errors}
    with atomic_path(result) as draft:
        draft.write_text(json.dumps(description, separators=(",", ":")) + "\n", "utf-8")
    print(f"== {cell}: {description['seconds']} s, dev {dev}", flush=True)


def cell_config(fold: str, seed: int, arm: str, work: Path) -> PretrainConfig:
    """``arms/<arm>.yaml`` with the fold's data, the seed, and the cell it starts from."""
    plan = read_plan()
    tested = json.loads((work / fold / "fold.json").read_text())["sets"]["test"]
    rule = plan["hears"].get(arm)
    train = write_part(work / fold, rule, seed) if rule else "train.jsonl"
    filled: dict[str, Any] = {
        "data": {"train": [train], "dev": ["dev.jsonl"]},
        # what is drawn at random beside initialisation: vectors exchanged, also those tested later
        "source": {"typology": {"seed": seed, "languages": sorted(tested)}},
        "training": {"seed": seed},
        "output": str(work / f"{fold}-{seed}-{arm}"),
    }
    start = plan["starts"].get(arm)
    if start:
        filled["init_from"] = str(work / f"{fold}-{seed}-{start}" / "checkpoint")
    if text := plan["typology_from"].get(arm):
        filled["init_typology_from"] = str(work / "mlm" / text / "checkpoint")
    return load_config(HERE / "arms" / f"{arm}.yaml", PretrainConfig, filled)


@torch.inference_mode()
def count_set(
    model: AdaptedModel,
    config: PretrainConfig,
    folder: Path,
    name: str,
    asked: Sequence[str] | None = None,
) -> dict[str, dict[str, Counts]]:
    """Swap -> language -> counts."""
    swaps = swaps_of(model, name)
    if asked is not None:
        swaps = {swap: adapter_for for swap, adapter_for in swaps.items() if swap in asked}
    counted: dict[str, dict[str, Counts]] = {swap: {} for swap in swaps}
    for heard in hear(model, folder, name, config.training.cache_limit_gb):
        for swap, adapter_for in swaps.items():
            counted[swap][heard.language] = count_errors(
                model, heard, adapter_for(heard.language), adapted=swap != "none"
            )
    return counted


if __name__ == "__main__":
    main()
